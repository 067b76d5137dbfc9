"""What is installed: entry points, read distribution by distribution.

One distribution whose metadata cannot be read hides no other, which it would if all were asked for
at once. The family's own are known without metadata, too (``family``).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..lenient import error_text
from .family import ANNOUNCED, FAMILY, __version__, announced_by

__all__ = [
    "FAMILY",
    "Unreadable",
    "distribution_of",
    "entry_points",
    "how_to_install",
    "is_of_family",
    "leftovers",
    "made_by_hand",
    "normal",
    "unique",
    "version_of",
    "version_of_distribution",
    "where",
]

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint as EntryPoint

_OURS: Final = "lmstudio."
"""How the names of our entry-point groups begin."""

_UNKNOWN: Final = "(unknown distribution)"


@dataclass(frozen=True)
class Unreadable:
    """A distribution whose entry points cannot be read, and why."""

    distribution: str
    version: str
    reason: str


def entry_points() -> tuple[list[EntryPoint], list[Unreadable]]:
    """Every installed entry point of our groups, and the distributions that cannot be read."""
    found: list[EntryPoint] = []
    unreadable: list[Unreadable] = []
    with_metadata: set[str] = set()
    for name, distributions in _by_name().items():
        if not any(map(_is_ours, distributions)):
            continue  # as most; their entry points are not parsed
        distribution = _that_counts(distributions)
        if not _is_ours(distribution):
            continue
        try:
            found += [e for e in distribution.entry_points if e.group.startswith(_OURS)]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the others work
            reason = f"Its entry_points.txt cannot be read: {error_text(error, named=True)}"
            unreadable.append(Unreadable(name, _version(distribution), reason))
        with_metadata.add(name)
    for name in sorted(ANNOUNCED.keys() - with_metadata):
        found += _without_metadata()(name).entry_points
    return found, unreadable


def leftovers() -> list[str]:
    """The folders of metadata that installers left behind: of packages of the family, and of plugins.

    Nothing goes by them; they are to be deleted.
    """
    found: list[str] = []
    for name, distributions in _by_name(leftovers=True).items():
        if name not in FAMILY and not any(map(_is_ours, distributions)):
            continue
        whole = [one for one in distributions if not _is_left_by_pip(one)]
        counts = _that_counts(whole) if whole else None
        found += [
            str(path)
            for one in distributions
            if one is not counts
            and (path := getattr(one, "_path", None)) is not None
            # In another folder it is what another environment goes by.
            and (_is_left_by_pip(one) or _folder(one) == _folder(counts))
        ]
    return found


def _by_name(*, leftovers: bool = False) -> dict[str, list[Any]]:
    """All distributions, in the order of the path; those that pip only renamed count for nothing."""
    found: dict[str, list[Any]] = {}
    seen: set[str] = set()
    for distribution in _library().distributions():
        if (place := str(getattr(distribution, "_path", id(distribution)))) in seen:
            continue  # a folder may be on the path twice
        seen.add(place)
        if leftovers or not _is_left_by_pip(distribution):
            found.setdefault(_name(distribution), []).append(distribution)
    return found


def _is_left_by_pip(distribution: Any) -> bool:
    """Whether pip put it aside and could not delete it: ``~mstudio_llm-1.9.0.dist-info``."""
    return str(getattr(getattr(distribution, "_path", None), "name", "")).startswith("~")


def _is_ours(distribution: Any) -> bool:
    return _OURS in _read(distribution, "entry_points.txt")


def _folder(distribution: Any) -> str:
    return str(getattr(getattr(distribution, "_path", None), "parent", ""))


def _that_counts(distributions: list[Any]) -> Any:
    """The one of several of a name: of the first folder that has one whole, the highest version.

    The first on the path is the one that is imported. In one folder the order is the file system's,
    and what is not the newest is what an interrupted upgrade left.
    """
    if len(distributions) == 1:
        return distributions[0]
    whole = [one for one in distributions if _read(one, "METADATA") or _read(one, "PKG-INFO")]
    whole = whole or distributions
    in_first = [one for one in whole if _folder(one) == _folder(whole[0])]
    return max(in_first, key=lambda one: _order(_version(one)))


_VERSION: Final = re.compile(
    r"v?(\d+!)?(\d+(?:\.\d+)*)[-_.]?(a|b|c|rc|post|dev)?[-_.]?(\d*)", re.IGNORECASE
)
_PHASES: Final = ("dev", "a", "b", "c", "rc", "", "post")


def _order(version: str) -> tuple[int, list[int], int, int]:
    """What versions are compared by: as installers do, as far as releases go."""
    match = _VERSION.match(version)
    if match is None:
        return -1, [], 0, 0
    epoch, numbers, phase, number = match.groups(default="")
    release = [int(part) for part in numbers.split(".")]
    while release and not release[-1]:
        release.pop()
    return int(epoch[:-1] or 0), release, _PHASES.index(phase.lower()), int(number or 0)


def _library() -> Any:
    """Importing it takes longer than all else that a program's first line imports."""
    import importlib_metadata

    return importlib_metadata  # untyped in some versions


@cache
def _without_metadata() -> Any:
    base: Any = _library().Distribution

    class WithoutMetadata(base):  # type: ignore[misc]  # untyped
        """Stands for a distribution of the family whose modules may be there, but no metadata."""

        def __init__(self, name: str) -> None:
            self._own_name = name

        def read_text(self, filename: str) -> str | None:
            """Part of ``Distribution``."""
            if filename == "METADATA":  # all packages have one version
                return f"Metadata-Version: 2.1\nName: {self._own_name}\nVersion: {__version__}\n"
            return announced_by(self._own_name) if filename == "entry_points.txt" else None

        def locate_file(self, path: Any) -> Any:
            """Part of ``Distribution``: it knows no files."""
            raise FileNotFoundError(path)

    return WithoutMetadata


def made_by_hand(name: str, value: str, group: str) -> EntryPoint:
    """An entry point that no distribution has."""
    found: EntryPoint = _library().EntryPoint(name, value, group)
    return found


def _read(distribution: Any, file: str) -> str:
    try:
        return distribution.read_text(file) or ""
    except (OSError, UnicodeDecodeError):
        return ""


def _name(distribution: Any) -> str:
    """Its name in the normal form; that of its folder, since reading all metadata would be slow."""
    stem = str(getattr(getattr(distribution, "_path", None), "name", "")).rpartition(".")[0]
    if stem and not _is_left_by_pip(distribution):
        return normal(stem.partition("-")[0])
    try:
        return normal(str(distribution.metadata["Name"]))
    except Exception:  # noqa: BLE001 - it has no metadata
        return _UNKNOWN


def normal(name: str) -> str:
    """A distribution's name as it is compared: ``Acme_-Toys`` is ``acme-toys``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(distribution: Any) -> str:
    try:
        return str(distribution.version)
    except Exception:  # noqa: BLE001 - it has no metadata
        return ""


def distribution_of(entry: EntryPoint) -> str:
    """The name of the distribution that an entry point came with."""
    dist = getattr(entry, "dist", None)
    if dist is None:
        return _UNKNOWN
    try:
        return str(dist.metadata["Name"])
    except Exception:  # noqa: BLE001 - it has no metadata
        return _name(dist)


def version_of(entry: EntryPoint) -> str:
    """The version of that distribution; empty if it says none."""
    dist = getattr(entry, "dist", None)
    return "" if dist is None else _version(dist)


def version_of_distribution(name: str) -> str | None:
    """The version of an installed distribution; ``None`` if it is not installed."""
    found = list(_library().distributions(name=name))
    return (_version(_that_counts(found)) or None) if found else None


def where(entry: EntryPoint) -> str:
    """``"distribution version"``, for messages."""
    return f"{distribution_of(entry)} {version_of(entry)}".strip()


def is_of_family(entry: EntryPoint) -> bool:
    """Whether it came with a distribution of the family."""
    return normal(distribution_of(entry)) in FAMILY


def unique(entries: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Each once: an editable install beside a wheel lists its entries twice."""
    found: dict[tuple[str, str, str, str], EntryPoint] = {}
    for entry in entries:
        key = (entry.group, entry.name, entry.value, distribution_of(entry))
        found.setdefault(key, entry)
    return list(found.values())


def how_to_install(*packages: str) -> str:
    """The command that installs packages of the family, from where this one came.

    A clone's packages are named by their folders: on an index the name may be a stranger's. From
    elsewhere the version is said, since the packages fit together in one version only.
    """
    root = _clone()
    return " ".join(["pip install", *(_requirement(package, root) for package in packages)])


def _requirement(package: str, root: Path | None) -> str:
    if root is not None:
        folder = root if package == FAMILY[0] else root / "packages" / package
        if (folder / "pyproject.toml").is_file():
            return shlex.quote(str(folder))
    return f"{package}=={__version__}"


def _clone() -> Path | None:
    """The clone that this package was installed from, if it was."""
    try:
        distribution = _that_counts(list(_library().distributions(name="lmstudio-core")))
        url = json.loads(distribution.read_text("direct_url.json") or "{}").get("url", "")
    except Exception:  # noqa: BLE001 - not installed, or its metadata cannot be read
        return None
    parts = urlsplit(str(url))
    return Path(url2pathname(parts.path)).parent.parent if parts.scheme == "file" else None
