"""A file that cannot be read, in words for whoever sent it."""

from __future__ import annotations

__all__ = ["UnreadableError"]


class UnreadableError(Exception):
    """Why a file has no text for us; the message continues the sentence "… because"."""
