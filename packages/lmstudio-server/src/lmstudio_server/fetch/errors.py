"""What can go wrong on the way to a model."""

from __future__ import annotations

__all__ = ["FetchError"]


class FetchError(Exception):
    """A model could not be fetched or converted; the message says why and what to do."""
