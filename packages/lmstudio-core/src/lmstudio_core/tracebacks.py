"""What users see of an error: their own line and the message, and not how this family is built."""

from __future__ import annotations

import os


def debugging() -> bool:
    """Whether ``LMSTUDIO_DEBUG`` asks for whole tracebacks."""
    return os.environ.get("LMSTUDIO_DEBUG", "") not in ("", "0")
