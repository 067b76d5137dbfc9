"""``lmstudio embed`` and ``lmstudio similar``."""

from __future__ import annotations

from .embed import embed
from .similar import similar

__all__ = ["embed", "similar"]
