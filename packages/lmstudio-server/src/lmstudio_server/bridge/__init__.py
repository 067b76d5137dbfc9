"""Plugins: programs that offer tools and generators to other clients, bridged by the server.

Nothing here knows of sockets: a plugin is an outbox that somebody empties and an inbox that
somebody fills.
"""

from __future__ import annotations
