"""Folders of the user's, where there may be none.

A user without an entry in the system's list (a number, as containers are run by) and without ``HOME``
has no home: ``Path.home()`` and ``Path.expanduser()`` raise ``RuntimeError`` there. Nothing in the
family calls them; a test reads the source.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_NOWHERE: Final = Path(os.devnull)
"""In which nothing is and nothing can be made: whoever looks there finds nothing, as for any missing file."""


def home_folder() -> Path:  # api
    """The user's home folder; for one who has none, a path in which no file can be.

    >>> home_folder().is_absolute() or os.name == "nt"
    True
    """
    try:
        return Path.home()
    except RuntimeError:
        return _NOWHERE


def expanded(path: str | os.PathLike[str]) -> Path:  # api
    """The path with ``~`` or ``~user`` in the place of what it stands for, if that is known.

    >>> expanded("models/a.gguf").name, expanded("~nobody-of-this-name/a").parts[0]
    ('a.gguf', '~nobody-of-this-name')
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - unlike Path.expanduser(), never raises


def lmstudio_home(home: Path | None = None) -> Path:  # api
    """LM Studio's own folder, which need not exist.

    Args:
        home: The home folder of the user; by default that of whoever runs this program.
    """
    home = home or home_folder()
    try:
        pointed = (home / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        pointed = ""
    if pointed:
        return Path(pointed)
    older = home / ".cache" / "lm-studio"
    # ``Path.exists()`` raises where the folder above may not be read, such as another user's home.
    return older if os.path.isdir(older) else home / ".lmstudio"  # noqa: PTH112
