"""Which models a repository's files make up, and where they go. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lmstudio_server.library.model_file import quantization_of

__all__ = ["Offer", "RemoteFile", "Repository", "offers_of", "recommended"]

_PART = re.compile(r"-(\d{5})-of-(\d{5})$")
_PROJECTOR_PREFERENCE = ("F16", "BF16", "Q8_0", "F32")
_PREFERENCE = (
    *("Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_K_XL", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_1", "MXFP4"),
    *("Q5_K_M", "Q5_K_S", "Q5_0", "Q6_K", "Q8_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M"),
    *("F16", "BF16", "F32", "Q2_K", "IQ2_M"),
)
"""What is recommended, the best first: four bits lose little, and two hardly fewer than too much."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository on the hub."""

    path: str
    """Inside the repository, with ``/``."""
    size_bytes: int
    sha256: str | None = None
    """Of the content; files kept in git itself have ``blob_id`` alone."""
    blob_id: str | None = None
    """Git's own digest of the content."""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def digest(self) -> str:
        """What tells this content from another one of the same name."""
        return self.sha256 or self.blob_id or str(self.size_bytes)


@dataclass(frozen=True)
class Repository:
    """A repository at one moment."""

    id: str
    """``owner/name``, as the hub spells it."""
    commit: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class Offer:
    """A model that can be downloaded: its files (of a split model several) and its eyes."""

    repository: str
    name: str
    quantization: str | None
    files: tuple[RemoteFile, ...]
    projector: RemoteFile | None = None

    @property
    def identifier(self) -> str:
        """Names this offer among all of the hub's."""
        return f"{self.repository}/{self.files[0].path}"

    @property
    def all_files(self) -> tuple[RemoteFile, ...]:
        """All that has to be there. The projector first: no model is seen without its eyes."""
        return self.files if self.projector is None else (self.projector, *self.files)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.all_files)

    def place(self, file: RemoteFile) -> str:
        """Where a file goes below the models folder: ``owner/name/file.gguf``."""
        folder, name = PurePosixPath(file.path).parent.name, file.name
        # Where repositories sort quantizations into folders, the folder may be all that tells
        # two files apart.
        if folder and self.name.startswith(f"{folder}-") and not name.startswith(folder):
            name = f"{folder}-{name}"
        return f"{self.repository}/{name}"

    @property
    def model_path(self) -> str:
        """The place of the file that is loaded."""
        return self.place(self.files[0])


def offers_of(repository: Repository) -> list[Offer]:
    """Return the GGUF models of a repository, the smallest first.

    A split model is one offer, and is left out if parts of it are missing. Projectors (mmproj) come
    with every model of their repository; importance matrices are no models.
    """
    files = [file for file in repository.files if _is_usable(file)]
    projector = _projector([file for file in files if "mmproj" in file.name.lower()])
    groups: dict[str, list[RemoteFile]] = {}
    for file in files:
        if "mmproj" not in file.name.lower() and "imatrix" not in file.name.lower():
            groups.setdefault(_whole(file), []).append(file)
    names = Counter(PurePosixPath(whole).name for whole in groups)
    offers: list[Offer] = []
    for whole, group in groups.items():
        parts = sorted(group, key=lambda file: file.path)
        if _is_complete(parts):
            path = PurePosixPath(whole)
            alone = names[path.name] == 1
            offers.append(
                Offer(
                    repository.id,
                    path.name if alone else f"{path.parent.name}-{path.name}",
                    quantization_of(None, path.name)
                    or quantization_of(None, f"-{path.parent.name}"),
                    tuple(parts),
                    projector,
                )
            )
    return sorted(offers, key=lambda offer: (offer.size_bytes, offer.name))


def recommended(offers: Sequence[Offer], fitting: Iterable[Offer]) -> Offer | None:
    """Return the offer that most people want: of those that fit, the first by preference."""
    candidates = [offer for offer in offers if offer in list(fitting)]
    return min(candidates, key=_rank, default=None)


def _rank(offer: Offer) -> tuple[int, int]:
    name = offer.quantization
    rank = _PREFERENCE.index(name) if name in _PREFERENCE else len(_PREFERENCE)
    return rank, offer.size_bytes


def _is_usable(file: RemoteFile) -> bool:
    """Whether a file is GGUF and can be kept under its own name on every system."""
    name = file.name
    return (
        file.size_bytes > 0
        and name.lower().endswith(".gguf")
        and not re.search(r'^\.|[\x00-\x1f\\:*?"<>|]', name)
    )


def _whole(file: RemoteFile) -> str:
    """The path without suffix and part: the same for all parts of a model."""
    return _PART.sub("", file.path[: -len(".gguf")])


def _is_complete(parts: Sequence[RemoteFile]) -> bool:
    found = [_PART.search(part.path[: -len(".gguf")]) for part in parts]
    numbers = [(int(match.group(1)), int(match.group(2))) for match in found if match is not None]
    if not numbers:
        return len(parts) == 1
    total = numbers[0][1]
    return numbers == [(number, total) for number in range(1, total + 1)]


def _projector(projectors: Sequence[RemoteFile]) -> RemoteFile | None:
    """The projector to take of several: as precise as is of use."""

    def rank(file: RemoteFile) -> tuple[int, int]:
        name = file.name.upper()
        ranks = (i for i, kind in enumerate(_PROJECTOR_PREFERENCE) if _names(name, kind))
        return next(ranks, len(_PROJECTOR_PREFERENCE)), file.size_bytes

    return min(projectors, key=rank, default=None)


def _names(name: str, kind: str) -> bool:
    return re.search(rf"(?<![A-Z0-9]){kind}(?![A-Z0-9])", name) is not None
