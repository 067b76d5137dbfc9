"""Where servers keep their state and log files: a private folder of the user."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from pathlib import Path

from lmstudio_core.lenient import error_text
from lmstudio_core.program.places import home_folder

__all__ = ["STATE_DIR_VARIABLE", "in_words", "state_dir"]

STATE_DIR_VARIABLE = "LMSTUDIO_STATE_DIR"
_NAME = "lmstudio-server"


def state_dir() -> Path:
    """The state folder of this user. It exists and nobody else can read it.

    Raises:
        OSError: It cannot be made or written to.
    """
    override = os.environ.get(STATE_DIR_VARIABLE)
    if override:
        path = Path(override).absolute()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(path)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return path
    for candidate in _candidates():
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if _is_private(candidate):
            return candidate
    raise OSError("no private folder could be made in the home or in the temporary folder")


def in_words(error: OSError) -> str:
    """What is wrong with the folder, and with which, as far as the system tells."""
    words = error.strerror or error_text(error)
    return f"{error.filename}: {words}" if error.filename else words


def _candidates() -> list[Path]:
    temporary = Path(tempfile.gettempdir())
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return [Path(local) / _NAME] if local else [temporary / _NAME]
    home = home_folder()
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


def _check_owner(path: Path) -> None:
    """A folder that somebody named must be its user's own: who may write there could put a server of
    his own in the place of ours, and get what its clients send.
    """
    if sys.platform == "win32":
        return
    info = path.stat()
    if info.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "other users may write to it", str(path))
    for above in path.resolve().parents:
        # In one like /tmp (sticky), everybody renames only what is his own.
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise PermissionError(errno.EPERM, "others may replace it", str(path))
    link = path.lstat()
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.getuid()):
        raise PermissionError(errno.EPERM, "it is a link of another user's", str(path))


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
