"""The wire protocol as decisions without I/O: standard library and pydantic only."""
