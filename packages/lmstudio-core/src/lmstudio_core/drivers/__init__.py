"""All I/O: threads and blocking sockets (``sync``), and asyncio (``aio``). No decisions."""
