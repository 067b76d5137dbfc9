"""``python -m lmstudio_cli``: the command where only parts of the family are installed."""

from __future__ import annotations

from . import main

if __name__ == "__main__":
    main()
