"""Where servers keep their state and log files: a private folder of the user."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

__all__ = ["STATE_DIR_VARIABLE", "state_dir"]

STATE_DIR_VARIABLE = "LMSTUDIO_STATE_DIR"
_NAME = "lmstudio-server"


def state_dir() -> Path:
    """The state folder of this user. It exists and nobody else can read it."""
    override = os.environ.get(STATE_DIR_VARIABLE)
    if override:
        path = Path(override).absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path
    for candidate in _candidates():
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if _is_private(candidate):
            return candidate
    raise OSError(
        "No folder for the state of lmstudio-server could be created. Set the environment "
        f"variable {STATE_DIR_VARIABLE} to a folder that only you can write to."
    )


def _candidates() -> list[Path]:
    temporary = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return [Path(local) / _NAME] if local else [temporary / _NAME]
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - unlike Path.home(), never raises
    found: list[Path] = []
    if sys.platform == "darwin":
        found.append(home / "Library" / "Application Support" / _NAME)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        found.append(Path(runtime) / _NAME)
    state = os.environ.get("XDG_STATE_HOME")
    found.append((Path(state) if state else home / ".local" / "state") / _NAME)
    # A user without a home of their own (containers) still has the temporary folder.
    found.append(temporary / f"{_NAME}-{os.getuid()}")
    return found


def _is_private(path: Path) -> bool:
    """Whether a folder is ours alone; a stranger may have made it first in a shared place."""
    if sys.platform == "win32":
        return True
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        return False
    if stat.S_IMODE(info.st_mode) & 0o077:
        try:
            path.chmod(0o700)
        except OSError:
            return False
    return os.access(path, os.W_OK | os.X_OK)
