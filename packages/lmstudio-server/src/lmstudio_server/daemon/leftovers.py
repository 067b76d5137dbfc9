"""What servers that were killed have left: removed when the next one starts."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lmstudio_server.files import UPLOADS_PREFIX, owner_of
from lmstudio_server.owned import is_running

from . import state
from .paths import state_dir

__all__ = ["clear_leftovers"]

_TEMPORARY_SECONDS = 60.0
"""After which a state file that was never put in its place is nobody's."""


def clear_leftovers() -> None:
    """Remove the state files, logs and uploads of this user's servers that are no more."""
    found = [known for known in map(state.read, state.names()) if known is not None]
    used = {one.log for one in found if one.is_alive}
    for one in found:
        # Without the time of its start (a release before) nobody can say that it is gone.
        if one.process_start and not one.is_alive:
            state.remove(one)
            if one.log is not None and one.log not in used:
                _remove_logs(Path(one.log))
    for path in state_dir().glob(".*.tmp"):
        with suppress(OSError):
            if path.lstat().st_mtime < time.time() - _TEMPORARY_SECONDS:
                path.unlink()
    for folder in Path(tempfile.gettempdir()).glob(f"{UPLOADS_PREFIX}*"):
        owner = owner_of(folder)
        if owner is not None and not is_running(*owner):
            shutil.rmtree(folder, ignore_errors=True)


def _remove_logs(log: Path) -> None:
    # Only what a server of ours can have written: the file may have been changed by hand.
    if log.parent.resolve() != state_dir().resolve() or log.suffix != ".log":
        return
    for path in (log, log.with_suffix(".log.1"), log.with_suffix(".err")):
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 - what a link leads to stays
