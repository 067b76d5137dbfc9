"""``python -m lmstudio_plugin``, also as ``python -m lmstudio.plugin``."""

from __future__ import annotations

import sys

from lmstudio_plugin.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
