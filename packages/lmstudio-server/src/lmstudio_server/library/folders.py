"""Where models are kept."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmstudio_core.program.places import expanded, home_folder, lmstudio_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MODELS_VARIABLE = "LMSTUDIO_MODELS"
"""The environment variable that names further folders, separated as in ``PATH``."""


def hub_folder(user_home: Path | None = None) -> Path:
    """Return the folder where LM Studio keeps the ``model.yaml`` files of its hub."""
    return lmstudio_home(user_home) / "hub" / "models"


def own_folder() -> Path:
    """Return the folder for this server's own models, which need not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home_folder() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home_folder() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home_folder() / ".local" / "share")
    return base / "lmstudio-server" / "models"


def download_folder(folders: Sequence[Path] | None) -> Path:
    """Return the folder that downloads go to: the first of those chosen, or the server's own."""
    return folders[0] if folders else own_folder()


def default_folders() -> list[Path]:
    """Return the folders to look for models in, those named in ``LMSTUDIO_MODELS`` first.

    Then LM Studio's own (where its settings say, and in its home), then this server's. Folders that
    do not exist are included: they may come to be.
    """
    named = [Path(part) for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part]
    home = lmstudio_home()
    downloads = _downloads_folder(home / "settings.json")
    lmstudio = [home / "models"] if downloads is None else [downloads, home / "models"]
    return _unique([*named, *lmstudio, own_folder()])


def _downloads_folder(settings: Path) -> Path | None:
    """Return the models folder chosen in LM Studio's settings, if one can be read there."""
    try:
        values: Any = json.loads(settings.read_text("utf-8"))
        folder: Any = values["downloadsFolder"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(folder) if isinstance(folder, str) and folder else None


def _unique(folders: Iterable[Path]) -> list[Path]:
    return list(dict.fromkeys(expanded(folder) for folder in folders))
