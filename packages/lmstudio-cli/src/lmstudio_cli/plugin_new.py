"""``lmstudio plugin new``: a package with a plugin, whose tests pass at once."""

from __future__ import annotations

import importlib
import keyword
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click

from lmstudio_core import __version__
from lmstudio_core.errors import LMStudioOSError, LMStudioValueError
from lmstudio_core.plugins.capability import API_VERSION
from lmstudio_core.plugins.checks import RESERVED_NAMES
from lmstudio_core.plugins.claims import RESERVED_COMMANDS
from lmstudio_core.plugins.installed import FAMILY, how_to_install

from .common import Group, echo

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["files_of", "plugin_command"]

_PREFIX: Final = "lmstudio-"
_LONGEST: Final = 20
_TAKEN: Final = frozenset(
    {name.removeprefix(_PREFIX) for name in FAMILY}
    | {"embedding", "models", "system", "files", "repository", "runtime", "diagnostics", "plugins"}
    | {"chat", "complete", "similar", "core"}
    | {"async", "sync", "kinds", "type-checking"}
)
"""What the family has of its own: packages, namespaces, commands; and what the templates name so."""


@click.group("plugin", cls=Group)
def plugin_command() -> None:
    """Make plugins. `lmstudio plugins` lists those that are installed."""


@plugin_command.command("new")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to make the package's folder; by default here.",
)
@click.option("--lmstudio", "for_app", is_flag=True, help="A plugin for LM Studio itself.")
@click.option("--owner", default="me", help="With --lmstudio: whose plugin it is.")
def new_command(name: str, directory: Path, for_app: bool, owner: str) -> None:
    """Make a package with the plugin NAME, in the folder lmstudio-NAME.

    NAME is what comes after 'client.': lower-case letters, digits and hyphens. The package holds a
    namespace, a command, a toolset, an observer, and tests that pass; keep what you need.

    With --lmstudio it is a plugin for LM Studio, in the folder NAME, for `lmstudio dev`.
    """
    if for_app:
        _new_for_app(name, directory, owner)
        return
    try:
        written = files_of(name)
    except LMStudioValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    folder = directory / (_PREFIX + _short(name))
    _write(folder, written)
    echo(f"Made {folder}:")
    for path in written:
        echo(f"  {path}")
    echo(
        "\nTry it:\n"
        f"  cd {folder}\n"
        "  python -m pip install -e . lmstudio-cli lmstudio-testing pytest mypy ruff\n"
        "  pytest && mypy && ruff check\n"
        f"  lmstudio {_short(name)}"
    )


def _new_for_app(name: str, directory: Path, owner: str) -> None:
    """A plugin for LM Studio; what is in it is another package's matter, which may not be there."""
    try:
        scaffold = importlib.import_module("lmstudio_plugin.scaffold")
    except ModuleNotFoundError as error:
        how = how_to_install("lmstudio-plugin")
        raise click.ClickException(f"That needs lmstudio-plugin. Install it with: {how}") from error
    try:
        written = scaffold.files_of(name, owner)
    except LMStudioValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    folder = directory / name
    _write(folder, written)
    echo(f"Made {folder}:")
    for path in written:
        echo(f"  {path}")
    echo(f"\nTry it:\n  cd {folder}\n  pytest\n  lmstudio dev")


def files_of(name: str) -> dict[PurePosixPath, str]:
    """The files of a new plugin: path in its folder → text.

    Raises:
        LMStudioValueError: The name cannot be that of a plugin.
    """
    words = _words(name)
    paths: dict[PurePosixPath, str] = {}
    for path, template in _templates():
        parts = path.parts
        if parts[0] == "src":
            parts = ("src", words["module"], *parts[1:])
        filled = re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], template)
        paths[PurePosixPath(*parts)] = filled
    return paths


def _templates() -> Iterator[tuple[PurePosixPath, str]]:
    """Each template with its path, without the ending by which tools leave it alone."""

    def walk(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        for entry in sorted(folder.iterdir(), key=lambda e: e.name):
            if entry.is_dir():
                yield from walk(entry, at / entry.name)
            elif entry.name.endswith(".tmpl"):
                yield at / entry.name.removesuffix(".tmpl"), entry.read_text("utf-8")

    yield from walk(resources.files("lmstudio_cli") / "scaffold", PurePosixPath())


def _short(name: str) -> str:
    return name.removeprefix(_PREFIX)


def _words(name: str) -> dict[str, str]:
    """What stands for the placeholders of the templates."""
    short = _short(name)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", short):
        raise LMStudioValueError(
            f"{name!r} is no name for a plugin: it consists of lower-case letters, digits and "
            "hyphens, and begins with a letter."
        )
    if len(short) > _LONGEST:
        raise LMStudioValueError(f"{name!r} is too long: at most {_LONGEST} characters.")
    python = short.replace("-", "_")
    taken = _TAKEN | RESERVED_NAMES | RESERVED_COMMANDS
    if keyword.iskeyword(python) or python in taken or short in taken:
        raise LMStudioValueError(f"{short!r} means something already. Choose another name.")
    words = "".join(part.capitalize() for part in short.split("-"))
    major, minor, _ = __version__.split(".")[:3]
    return {
        "name": python,
        "command": short,
        "distribution": _PREFIX + short,
        "module": f"lmstudio_{python}",
        "Class": words,
        "Namespaces": ", ".join(sorted((f"Async{words}Namespace", f"{words}Namespace"))),
        "CONSTANT": python.upper(),
        "api_version": str(API_VERSION),
        "requires": f">={major}.{minor},<{int(major) + 1}",
    }


def _write(folder: Path, files: dict[PurePosixPath, str]) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise LMStudioOSError(f"{folder} is there already. Nothing was written.") from error
    except OSError as error:
        raise LMStudioOSError(f"{folder} cannot be made: {error.strerror}") from error
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", newline="\n")
