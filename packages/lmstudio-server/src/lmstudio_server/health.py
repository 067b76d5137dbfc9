"""What ``lmstudio doctor`` is told of this package: its server, its engine, its folders."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from lmstudio_core.lenient import error_text
from lmstudio_core.plugins.health import Finding
from lmstudio_core.program.interpreter import python_command, python_environment, why_no_python

from .daemon import state
from .daemon.paths import STATE_DIR_VARIABLE, state_dir
from .embedded import is_enabled
from .engines.llamacpp.diagnosis import import_error, misfit_error
from .library import own_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["findings"]

_IMPORT: Final = "from lmstudio_server.engines.llamacpp.contract import check; check()"
_IMPORT_SECONDS: Final = 60.0


def findings() -> Iterator[Finding]:
    """Look at everything; starts no server."""
    yield _server()
    yield _engine()
    yield _models_folder(own_folder())


def _server() -> Finding:
    try:
        folder = state_dir()
        running = state.all_running()
    except OSError as error:
        text = f"the folder for its state cannot be used: {error_text(error)}"
        advice = f"Set {STATE_DIR_VARIABLE} to a folder that this user may write to."
        return Finding("bundled", "problem", text, advice)
    if running:
        where = ", ".join(found.state.address for found in running)
        return Finding("bundled", "ok", f"lmstudio-server runs at {where}")
    if not is_enabled():
        text = "lmstudio-server is kept from being started by LMSTUDIO_EMBEDDED"
        return Finding("bundled", "warning", text, "Unset LMSTUDIO_EMBEDDED.")
    if (reason := why_no_python()) is not None:
        text = f"lmstudio-server cannot be started from here: {reason}"
        return Finding("bundled", "warning", text, "Run `lmstudio-server start` before.")
    return Finding("bundled", "ok", f"lmstudio-server is started when needed (state in {folder})")


def _engine() -> Finding:
    """Import llama.cpp as a worker does, and fill its parameters, in a process of its own."""
    if (reason := why_no_python()) is not None:
        return Finding("engine", "warning", f"llama.cpp cannot be started from here: {reason}")
    command = python_command("-c", _IMPORT, purpose="The engine llama.cpp")
    try:
        done = subprocess.run(  # noqa: S603 - this Python and a constant
            command,
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("engine", "problem", f"llama.cpp is not imported in {_IMPORT_SECONDS:g} s")
    if done.returncode == 0:
        return Finding("engine", "ok", "llama.cpp can be imported and fits this server")
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    is_misfit = said[-1].startswith(("AttributeError", "TypeError"))
    error = misfit_error(said[-1]) if is_misfit else import_error(said[-1])
    return Finding("engine", "problem", f"{error.title}\n{said[-1]}", error.suggestion or "")


def _models_folder(folder: Path) -> Finding:
    """Whether models can be put where ``lmstudio get`` puts them; nothing is made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding("models", "ok", f"{folder} can be written to")
    what = "cannot be written to" if there.is_dir() else "is not a folder"
    text = f"{folder} cannot hold models: {there} {what}"
    return Finding("models", "problem", text, f"Change the permissions of {there}.")
