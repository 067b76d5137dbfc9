"""Engines: what turns a model file into tokens. Each runs outside the server's process."""
