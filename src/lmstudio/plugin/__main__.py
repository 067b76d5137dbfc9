"""``python -m lmstudio.plugin``: runs a plugin, or registers and runs it with ``--dev``."""

from __future__ import annotations

import sys

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
