"""The version of this distribution; it moves together with the whole family."""

from __future__ import annotations

from typing import Final

__all__ = ["__version__"]

__version__: Final = "2.0.0"
