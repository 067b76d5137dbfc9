"""Ports for what has to be told one; everything else binds to port 0."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A loopback port that nobody has, and that no system gives to whoever binds to port 0.

    A port that such a bind has just given back may be given to the next server that is started,
    before it is used. Systems give from 32768 (Linux) or 49152 on.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
