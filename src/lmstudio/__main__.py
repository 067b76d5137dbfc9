"""The command ``lmstudio``, also as ``python -m lmstudio``."""

from __future__ import annotations

from lmstudio_cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
