"""Starting Python from Python: the one door for every helper process of the family.

In a frozen program (PyInstaller, Nuitka, cx_Freeze and the like) ``sys.executable`` is the program
itself: started with ``-m`` it would run the user's program once more, which might start it once more.
Where Python is embedded in another program, ``sys.executable`` may be empty. So a helper is started
with ``python_command``, which refuses there, and with ``python_environment``, by which it finds what
this program imports from places of its own, such as an archive made by ``python -m zipapp``.

Nobody's current folder is on a helper's path (a ``json.py`` in it would be run), and no helper is told
tokens and passwords unless it is what they are for.
"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import FrozenProgramError

__all__ = ["frozen_by", "python_command", "python_environment", "why_no_python"]

_START: Final = """\
import sys
sys.path[:] = [place for place in sys.path if place]
_, how, what, *rest = sys.argv
sys.argv[:] = [how, *rest]
if how == "-m":
    import runpy
    runpy.run_module(what, run_name="__main__", alter_sys=True)
else:
    exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
"""
"""What ``-m`` and ``-c`` do, without the current folder. Python itself puts it first on the path for both,
as an empty entry; ``-P`` keeps it from that since 3.11 only, and ``-I`` takes ``PYTHONPATH`` and the user's
own packages away, too. ``sys`` is built in: nothing is imported before the folder is off the path."""

_TOLD: Final = re.compile(
    # The system: where things are, which language, which libraries.
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LANGUAGE|LC_.*|TMPDIR|TEMP|TMP|PWD|XDG_.*|LD_.*|DYLD_.*"
    r"|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|OS|USERPROFILE|HOMEDRIVE|HOMEPATH|APPDATA"
    r"|LOCALAPPDATA|PROGRAMDATA|PROGRAMFILES.*|COMMONPROGRAM.*|NUMBER_OF_PROCESSORS|PROCESSOR_.*"
    # Python and its environments.
    r"|PYTHON.*|VIRTUAL_ENV|CONDA_.*|COVERAGE_.*|GLIBC_TUNABLES"
    # Engines, their threads, and the drivers of accelerators.
    r"|GGML_.*|LLAMA_.*|OMP_.*|GOMP_.*|KMP_.*|MKL_.*|OPENBLAS_.*|BLIS_.*|RAYON_.*|CUDA_.*|NVIDIA_.*|NV_.*"
    r"|__NV_.*|__GL_.*|__EGL_.*|HIP_.*|HSA_.*|ROC.*|AMD_.*|GPU_.*|VK_.*|MESA_.*|RADV_.*|DRI_.*|LIBGL_.*"
    r"|MTL_.*|METAL_.*|ONEAPI_.*|SYCL_.*|ZE_.*|ZES_.*|UR_.*|INTEL_.*|OPENCL_.*|OCL_.*|ASCEND_.*|MUSA_.*"
    r"|MALLOC.*|RUST_BACKTRACE",
    re.IGNORECASE,
)
"""The variables a helper is told. A list of what it needs, since no list of what is secret is ever
complete (``DATABASE_URL``, a proxy with a password)."""
_SECRET: Final = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|_?API_?KEY|_(KEYS?|AUTH|PAT|PWD)$", re.IGNORECASE
)
"""Names of secrets, which may begin like those above: ``LLAMA_API_KEY``."""


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


def why_no_python() -> str | None:  # api
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


def python_command(*arguments: str, purpose: str) -> list[str]:  # api
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
    if arguments[:1] in (("-m",), ("-c",)):
        return [sys.executable, "-c", _START, *arguments]
    return [sys.executable, *arguments]


def python_environment(*, secrets: bool = False) -> dict[str, str]:  # api
    """The environment variables of another Python process, by which it finds the same packages.

    Relative entries of ``PYTHONPATH`` become absolute, since the process may have another working
    directory. Archives and folders of packages that only this program has on its path are added.

    Args:
        secrets: Pass on all variables. Without, only those that a helper needs which asks nobody else:
            none with a token, a proxy's password, an address of somebody's database.
    """
    environment = {name: value for name, value in os.environ.items() if secrets or _is_told(name)}
    given = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    found = dict.fromkeys([*map(os.path.abspath, given), *_own_places()])
    environment.pop("PYTHONPATH", None)  # an empty entry of it is the current folder
    if found:
        environment["PYTHONPATH"] = os.pathsep.join(found)
    return environment


def _is_told(name: str) -> bool:
    return _TOLD.fullmatch(name) is not None and _SECRET.search(name) is None


def _own_places() -> Iterator[str]:
    """The places on the path that another Python would not look at by itself, if they hold packages.

    The folder of the user's program is none, unless packages are installed there: its modules must
    not shadow those of the helper. The current folder is none unless this package is in it.
    """
    here = {os.path.realpath(os.curdir)} - {os.path.realpath(Path(__file__).parents[1])}
    usual = {os.path.realpath(folder) for folder in sysconfig.get_paths().values()}
    with suppress(AttributeError):  # some environments have a site module without these
        usual |= {*map(os.path.realpath, site.getsitepackages())}
        usual.add(os.path.realpath(site.getusersitepackages()))
    for entry in sys.path:
        place = Path(entry or os.curdir)
        if os.path.realpath(place) in usual | here:
            continue
        if place.is_file() or (place / "lmstudio_core").is_dir() or _has_metadata(place):
            yield os.path.abspath(place)  # noqa: PTH100 - links stay as they are


def _has_metadata(place: Path) -> bool:
    with suppress(OSError):
        return next(place.glob("*.dist-info"), None) is not None
    return False
