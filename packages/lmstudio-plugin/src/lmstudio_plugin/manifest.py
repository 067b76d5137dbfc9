"""``manifest.json``: where it is, and what it has to say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lmstudio_core.lenient import error_text, is_mapping

from .data import PluginManifest
from .errors import LMStudioPluginInitError, init_error

__all__ = ["Project", "check_names", "find_project", "read_project"]

_OWNER: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_NAME: Final = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
_KEYS: Final = (
    *("type", "runner", "owner", "name", "revision", "dependencies", "tags", "sandbox"),
    *("description", "displayName", "version"),
)
PARENTS: Final = 20
"""How many folders up a manifest is looked for, as LM Studio's own tools do."""


@dataclass(frozen=True)
class Project:
    """A plugin's folder and what its manifest says.

    Attributes:
        folder: The folder that holds ``manifest.json``.
        owner: Whose plugin it is.
        name: Its name.
    """

    folder: Path
    owner: str
    name: str

    @property
    def identifier(self) -> str:
        """``"owner/name"``."""
        return f"{self.owner}/{self.name}"

    @property
    def source(self) -> Path:
        """The file that is run."""
        return self.folder / "src" / "plugin.py"

    def registration(self) -> PluginManifest:
        """What it is registered as: no server knows the runner "python", and none looks at it."""
        return PluginManifest(owner=self.owner, name=self.name, runner="node")


def check_names(owner: Any, name: Any, file: Path | None = None) -> None:
    """Raise ``LMStudioPluginInitError`` for names that LM Studio refuses."""
    for key, value, form, words in (
        ("owner", owner, _OWNER, "small letters, digits and single hyphens between them"),
        ("name", name, _NAME, "small letters, digits, and single hyphens or dots between them"),
    ):
        if not isinstance(value, str) or not form.fullmatch(value) or len(value) > 100:
            like = re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-")[:100]
            error = init_error(
                f"{key!r} must be made of {words}, at most 100 of them, got {value!r}"
                + (f"; {like!r} would do." if like and like != value else "."),
                file=file,
                key=key,
                value=value,
            )
            error.nearest = like or None
            raise error


def find_project(start: Path) -> Project:
    """The plugin that a path is in: its folder, or a file or folder below it.

    Raises:
        LMStudioPluginInitError: No manifest is found, or it is wrong.
    """
    place = start.resolve()
    for folder in (place, *list(place.parents)[:PARENTS]):
        if (folder / "manifest.json").is_file():
            return read_project(folder)
    raise init_error(
        f"No manifest.json in {place} or the {PARENTS} folders above it. `lmstudio plugin new NAME "
        "--lmstudio` makes a plugin with one.",
        key="manifest.json",
    )


def read_project(folder: Path) -> Project:
    """The plugin in a folder.

    Raises:
        LMStudioPluginInitError: There is no manifest, it is no JSON, or a key of it is wrong.
    """
    file = folder / "manifest.json"
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise init_error("There is no such file; a plugin has one.", file=file) from error
    except (OSError, UnicodeDecodeError) as error:
        raise init_error(f"It cannot be read: {error_text(error)}", file=file) from error
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise init_error(f"It is no valid JSON: {error_text(error)}", file=file) from error
    if not is_mapping(found):
        raise init_error(f"It must be a JSON object, got {type(found).__name__}.", file=file)
    _expect(file, found, "type", "plugin")
    _expect(file, found, "runner", "python")
    for key in ("owner", "name"):
        if key not in found:
            raise _missing(file, found, key)
    check_names(found["owner"], found["name"], file)
    return Project(folder, found["owner"], found["name"])


def _expect(file: Path, found: Mapping[str, Any], key: str, wanted: str) -> None:
    if key not in found:
        raise _missing(file, found, key)
    if found[key] != wanted:
        raise init_error(
            f"{key!r} must be {wanted!r}, got {found[key]!r}.",
            file=file,
            key=key,
            value=found[key],
        )


def _missing(file: Path, found: Mapping[str, Any], key: str) -> LMStudioPluginInitError:
    others = tuple(name for name in found if name not in _KEYS)
    error = init_error(f"The key {key!r} is missing.", file=file, key=key)
    near = init_error("", key=key, known=others).nearest
    if near is None:
        return error
    error = init_error(
        f"The key {key!r} is missing; it has {near!r}.", file=file, key=key, value=found[near]
    )
    error.nearest = near
    return error
