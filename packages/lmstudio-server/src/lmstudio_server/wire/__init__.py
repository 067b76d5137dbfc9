"""The protocol of one socket, seen from the server: every rule and no input or output."""

from __future__ import annotations
