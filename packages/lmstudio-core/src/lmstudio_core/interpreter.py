"""Starting Python from Python: the one door for every helper process of the family.

In a frozen program (PyInstaller, Nuitka, cx_Freeze and the like) ``sys.executable`` is the program
itself: started with ``-m`` it would run the user's program once more, which might start it once more.
Where Python is embedded in another program, ``sys.executable`` may be empty. So a helper is started
with ``python_command``, which refuses there, and with ``python_environment``, by which it finds what
this program imports from places of its own, such as an archive made by ``python -m zipapp``.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .errors import FrozenProgramError

__all__ = ["frozen_by", "python_command", "python_environment", "why_no_python"]


def frozen_by() -> str | None:
    """What this program was frozen with, such as ``"PyInstaller"``; ``None``: it is not frozen."""
    for names in (globals(), vars(sys.modules.get("__main__", object))):
        compiled = names.get("__compiled__")  # Nuitka's mark, in each module that it has compiled
        # It also compiles programs that go on using the installed Python.
        if compiled is not None and getattr(compiled, "standalone", True):
            return "Nuitka"
    if hasattr(sys, "_MEIPASS"):
        return "PyInstaller"
    marked = getattr(sys, "frozen", False) or getattr(sys, "oxidized", False)
    return "a freezing tool" if marked else None


def why_no_python() -> str | None:
    """Why this program cannot start another Python process; ``None``: it can.

    Example:
        >>> why_no_python() is None
        True
    """
    if (tool := frozen_by()) is not None:
        return f"this program was frozen by {tool} and holds no Python that could be started"
    if not sys.executable:
        return "Python is embedded in this program, which names no Python that could be started"
    return None


def python_command(*arguments: str, purpose: str) -> list[str]:
    """The command line of another Python process.

    Args:
        arguments: What follows the interpreter: ``"-m", "package.module"``, say.
        purpose: What is to be started, for the error.

    Raises:
        FrozenProgramError: There is no Python to start: the program is frozen, or embeds Python.
    """
    if (reason := why_no_python()) is not None:
        raise FrozenProgramError(
            f"{purpose} cannot be started: {reason}. Run `lmstudio-server start` from a Python "
            "installation (or start LM Studio), and name its host: the environment variable "
            "LMSTUDIO_API_HOST, or Client('host:port').",
            purpose=purpose,
        )
    return [sys.executable, *arguments]


def python_environment() -> dict[str, str]:
    """The environment variables of another Python process, by which it finds the same packages.

    Relative entries of ``PYTHONPATH`` become absolute, since the process may have another working
    directory. Archives and folders of packages that only this program has on its path are added.
    """
    environment = dict(os.environ)
    given = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    found = dict.fromkeys([*map(os.path.abspath, given), *_own_places()])
    if found:
        environment["PYTHONPATH"] = os.pathsep.join(found)
    return environment


def _own_places() -> Iterator[str]:
    """The places on the path that another Python would not look at by itself, if they hold packages.

    The folder of the user's program is none, unless packages are installed there: its modules must
    not shadow those of the helper.
    """
    usual = {os.path.realpath(folder) for folder in sysconfig.get_paths().values()}
    with suppress(AttributeError):  # some environments have a site module without these
        usual |= {*map(os.path.realpath, site.getsitepackages())}
        usual.add(os.path.realpath(site.getusersitepackages()))
    for entry in sys.path:
        place = Path(entry or os.curdir)
        if os.path.realpath(place) in usual:
            continue
        if place.is_file() or (place / "lmstudio_core").is_dir() or _has_metadata(place):
            yield os.path.abspath(place)  # noqa: PTH100 - links stay as they are


def _has_metadata(place: Path) -> bool:
    with suppress(OSError):
        return next(place.glob("*.dist-info"), None) is not None
    return False
