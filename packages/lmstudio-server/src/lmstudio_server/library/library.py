"""Finding models in folders, and by what people call them."""

from __future__ import annotations

import logging
import re
import stat
import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lmstudio_core.lenient import error_text

from .bundled import bundled_models
from .gguf import GgufError, GgufHeader, read_header
from .model_file import (
    ModelFile,
    is_model,
    kind_of,
    parameters_of,
    quantization_bits,
    quantization_of,
    reasons,
    uses_tools,
    without_quantization,
)
from .virtual import VirtualModel, read_virtual_model, with_virtual_models
from .walking import PART, is_showable, parts_of, walk
from .yaml_files import load_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_log = logging.getLogger(__name__)

_REPOSITORY_SUFFIX = re.compile(r"-gguf$", re.IGNORECASE)
_GGUF_NAMES = re.compile(r"(?!\.).+\.gguf", re.IGNORECASE | re.DOTALL)
_VIRTUAL_NAMES = re.compile(r"model\.ya?ml", re.IGNORECASE)
_LONGEST_KEY = 256
_MOST_WORDS = 500
_MOST_CONTEXT = 2**31 - 1
"""In tokens; whatever claims more is no description of a model."""


@dataclass(frozen=True)
class _Found:
    """A file that is a model, or would be if it were whole."""

    file: Path
    path: PurePosixPath
    header: GgufHeader | None
    problem: str | None
    size_bytes: int
    mmproj: Path | None

    @property
    def stem(self) -> str:
        return PART.sub("", self.path.stem)

    @property
    def repository(self) -> str:
        """The folder's name where there is one, as LM Studio has it, else the file's."""
        if len(self.path.parts) > 1:
            return _REPOSITORY_SUFFIX.sub("", self.path.parent.name)
        return without_quantization(self.stem)

    @property
    def publisher(self) -> str:
        return self.path.parts[0] if len(self.path.parts) > 2 else "local"

    @property
    def quantization(self) -> str | None:
        return quantization_of(self.header, self.stem)


class Library:
    """The models in some folders, and the bundled ones.

    Args:
        folders: Where to look, in LM Studio's layout ``publisher/repository/file.gguf``; files
            placed less deep are found too. Of two files with the same place in two folders the first
            counts.
        bundled: Whether to list the models this package brings along, last.
        elsewhere: Returns the models that are no files: those that engines have by name.
        virtual_folders: Where to look for ``model.yaml`` files besides ``folders``.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        bundled: bool = True,
        elsewhere: Callable[[], Iterable[ModelFile]] = tuple,
        virtual_folders: Sequence[Path] = (),
    ) -> None:
        self._folders = tuple(folders)
        self._virtual_folders = (*folders, *virtual_folders)
        self._virtual: dict[Path, tuple[tuple[int, int], VirtualModel | None]] = {}
        self._bundled = bundled
        self._elsewhere = elsewhere
        # By path: the time and size it was read at, and what was read.
        self._headers: dict[Path, tuple[tuple[int, int], GgufHeader | str]] = {}
        self._problems: set[Path] = set()
        self._scanning = threading.Lock()
        self._scans_begun = 0
        self._result: tuple[list[ModelFile], list[ModelFile]] | None = None

    def scan(self) -> list[ModelFile]:
        """Return all models, those in the folders by key, then the bundled ones.

        Only files that are new or have changed since the last scan are read. A file that cannot be
        read is listed with its ``problem``. A virtual model stands for the files below it.
        """
        return list(self._scanned()[0])

    def variants(self, key: str) -> list[ModelFile]:
        """Return the variants of the model called ``key``: its quantizations, or itself alone."""
        found = self.find(key)
        if found is None:
            return []
        listed, hidden = self._scanned()
        by_key = {model.key: model for model in (*hidden, *listed)}
        return [by_key[name] for name in found.variants if name in by_key] or [found]

    def _scanned(self) -> tuple[Sequence[ModelFile], Sequence[ModelFile]]:
        """Return the models to list, and those listed under another name.

        One thread looks at a time. Those that came meanwhile share what the next one finds: what was
        begun before they came may have missed what they look for.
        """
        wanted = self._scans_begun + 1
        with self._scanning:
            if self._scans_begun < wanted or self._result is None:
                self._result = None
                self._scans_begun += 1
                self._result = self._look()
            return self._result

    def _look(self) -> tuple[list[ModelFile], list[ModelFile]]:
        found: dict[str, _Found] = {}
        for folder in self._folders:
            for item in self._search(folder):
                found.setdefault(str(item.path), item)
        models = self._distinct(sorted(_with_keys(found.values()), key=lambda model: model.key))
        for model in models:
            self._tell(model.file, model.problem)
        models, hidden = with_virtual_models(models, self._virtual_models())
        models += _beside({model.key for model in models}, self._elsewhere())
        if self._bundled:
            taken = {model.key for model in models}
            models += [model for model in bundled_models() if model.key not in taken]
        return models, hidden

    def _distinct(self, models: Iterable[ModelFile]) -> list[ModelFile]:
        """Leave out models whose names differ from another's by case alone: names are found by any case."""
        kept: dict[str, ModelFile] = {}
        for model in models:
            other = kept.setdefault(model.key, model)
            if other is not model:
                self._tell(model.file, f"its name differs from that of {other.path} by case alone")
        return list(kept.values())

    def find(self, key: str) -> ModelFile | None:
        """Return the model called ``key``, or ``None``.

        In this order, without regard to case: its key; its path; a part of the path from the left
        (``publisher/repository``); its key without ``@quantization``, its repository or its file's
        name. Of several the first of ``scan`` that has no problem.
        """
        hits = self._meant(key)
        return next((model for model in hits if model.problem is None), next(iter(hits), None))

    def ambiguous(self, key: str) -> list[str]:
        """Return the keys of all models that ``key`` may mean, where it may mean several."""
        keys = [model.key for model in self._meant(key) if model.problem is None]
        return keys if len(keys) > 1 else []

    def _meant(self, key: str) -> list[ModelFile]:
        wanted = key.strip().replace("\\", "/").strip("/").lower()
        listed, hidden = self._scanned()
        for matches in (_has_key, _has_path, _is_below, _has_name):
            for models in (listed, hidden):
                hits = [model for model in models if matches(model, wanted)]
                if hits:
                    return hits
        return []

    def close_matches(self, key: str, n: int = 5) -> list[str]:
        """Return up to ``n`` keys that look like ``key``, the likeliest first."""
        from lmstudio_core.models.matching import close_matches

        # Comparing takes longer, the longer the text, and no key is like a very long one.
        wanted = key.strip()[:_LONGEST_KEY]
        return close_matches(wanted, [model.key for model in self.scan()], n)

    def _virtual_models(self) -> list[VirtualModel]:
        """The virtual models in the folders; each file is read when it is new or has changed."""
        found: list[VirtualModel | None] = []
        for folder in self._virtual_folders:
            for directory, names in walk(folder, _VIRTUAL_NAMES, self._unreadable, self._unnamed):
                found += [self._virtual_model(directory / name) for name in names]
        return [model for model in found if model is not None]

    def _virtual_model(self, file: Path) -> VirtualModel | None:
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if self._virtual.get(file, (None,))[0] != stamp:
                self._virtual[file] = (stamp, None)
                self._virtual[file] = (stamp, read_virtual_model(load_document(file)))
                self._tell(file, None)
        except OSError as error:
            self._virtual.pop(file, None)  # it may be readable the next time
            self._tell(file, error_text(error))
        except Exception as error:  # noqa: BLE001 - one file of somebody's is nobody else's problem
            self._tell(file, error_text(error))
        return self._virtual.get(file, (None, None))[1]

    def _unreadable(self, error: OSError) -> None:
        # A folder that is not there may come to be; one that may not be read is somebody's mistake.
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)) and error.filename:
            self._tell(Path(error.filename), f"it cannot be read: {error.strerror}")

    def _unnamed(self, file: Path) -> None:
        self._tell(file, "its name has characters that cannot be shown, or is no UTF-8")

    def _tell(self, file: Path, problem: str | None) -> None:
        """Log that a file is left out, once until it is in order again: scans are frequent."""
        if problem is None:
            self._problems.discard(file)
        elif file not in self._problems:
            self._problems.add(file)
            # Quoted where it has to be: whoever names a file must not write lines of our log.
            name = str(file) if is_showable(str(file)) else repr(str(file))
            words = " ".join(problem.split())[:_MOST_WORDS]
            _log.warning("left out of the list: %s: %s", name, words)

    def _search(self, folder: Path) -> Iterator[_Found]:
        """Yield the models below ``folder``."""
        for directory, names in walk(folder, _GGUF_NAMES, self._unreadable, self._unnamed):
            projectors = [name for name in names if "mmproj" in name.lower()]
            mmproj = directory / projectors[0] if projectors else None
            for name in names:
                part = PART.search(Path(name).stem)
                if name in projectors or (part is not None and int(part.group(1)) != 1):
                    continue
                found = self._inspect(folder, directory / name, mmproj)
                if found is not None:
                    yield found

    def _inspect(self, folder: Path, file: Path, mmproj: Path | None) -> _Found | None:
        """Return what ``file`` is, or ``None`` if it is no model or has gone meanwhile."""
        try:
            if not stat.S_ISREG(file.stat().st_mode):
                self._tell(file, "it is no regular file")
                return None
            header = self._header(file)
            parts, missing = parts_of(file)
            size = sum(part.stat().st_size for part in parts)
        except FileNotFoundError:
            return None
        except OSError as error:
            header, missing, size = f"it cannot be read: {error.strerror}", [], 0
        path = PurePosixPath(file.relative_to(folder).as_posix())
        if isinstance(header, str):
            return _Found(file, path, None, header, size, None)
        if not is_model(header):
            return None
        problem = None
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            problem = f"parts of the model are missing: {', '.join(missing[:5])}{more}"
        return _Found(file, path, header, problem, size, mmproj)

    def _header(self, file: Path) -> GgufHeader | str:
        """Return the header of ``file``, or what is wrong with it."""
        status = file.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._headers.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        header: GgufHeader | str
        try:
            header = read_header(file)
        except GgufError as error:
            header = str(error)
        self._headers[file] = (stamp, header)
        return header


def _with_keys(found: Iterable[_Found]) -> list[ModelFile]:
    """Name the models: by repository; by quantization too where it has several; by publisher too
    where two have the same repository.
    """
    found = list(found)
    models = [_describe(item) for item in found]
    variants = Counter(str(item.path.parent / item.repository) for item in found)
    named: list[ModelFile] = []
    for item, model in zip(found, models, strict=True):
        key = model.key
        if variants[str(item.path.parent / item.repository)] > 1:
            key = f"{key}@{(item.quantization or item.stem).lower()}"
        named.append(replace(model, key=key))
    for distinguish in (_publisher_key, _file_key):
        uses = Counter(model.key for model in named)
        named = [distinguish(model) if uses[model.key] > 1 else model for model in named]
    return _as_variants([str(item.path.parent / item.repository) for item in found], named)


def _as_variants(groups: Sequence[str], models: Sequence[ModelFile]) -> list[ModelFile]:
    """Tell each of several models of one group of the others."""
    keys: dict[str, list[str]] = {}
    for group, model in zip(groups, models, strict=True):
        keys.setdefault(group, []).append(model.key)
    return [
        replace(model, variants=tuple(sorted(keys[group])), selected_variant=model.key)
        if len(keys[group]) > 1
        else model
        for group, model in zip(groups, models, strict=True)
    ]


def _beside(taken: set[str], models: Iterable[ModelFile]) -> Iterator[ModelFile]:
    """Yield models that are no files, by their paths where their keys are taken."""
    for model in models:
        named = replace(model, key=model.path) if model.key in taken else model
        if named.key not in taken:
            taken.add(named.key)
            yield named


def _publisher_key(model: ModelFile) -> ModelFile:
    return replace(model, key=f"{model.publisher.lower()}/{model.key}")


def _file_key(model: ModelFile) -> ModelFile:
    return replace(model, key=model.path.lower().removesuffix(".gguf"))


def _describe(item: _Found) -> ModelFile:
    """Return what is known of a model; its key is still the repository's."""
    header = item.header
    kind = "llm" if header is None else kind_of(header)
    name = item.repository
    key = name.lower()
    if kind == "embedding" and not key.startswith("text-embedding-"):
        key = f"text-embedding-{key}"
    architecture = None if header is None else header.text("general.architecture")
    context = None if header is None else header.integer(f"{architecture}.context_length")
    if context is not None and not 0 <= context <= _MOST_CONTEXT:
        context = None
    return ModelFile(
        key=key,
        file=item.file,
        path=str(item.path),
        kind=kind,
        display_name=re.sub(r"[-_]+", " ", name).strip() or name,
        publisher=item.publisher,
        architecture=architecture,
        params_string=None if header is None else parameters_of(header),
        quantization_name=item.quantization,
        quantization_bits=quantization_bits(item.quantization),
        size_bytes=item.size_bytes,
        max_context_length=context or 0,
        vision=item.mmproj is not None and kind == "llm",
        trained_for_tool_use=header is not None and uses_tools(header),
        reasoning=header is not None and reasons(header),
        mmproj=item.mmproj if kind == "llm" else None,
        problem=item.problem,
    )


def _has_key(model: ModelFile, wanted: str) -> bool:
    return model.key == wanted


def _has_path(model: ModelFile, wanted: str) -> bool:
    return model.path.lower() == wanted


def _is_below(model: ModelFile, wanted: str) -> bool:
    return bool(wanted) and model.path.lower().startswith(f"{wanted}/")


def _has_name(model: ModelFile, wanted: str) -> bool:
    path = PurePosixPath(model.path.lower())
    repository = path.parent.name
    return wanted in {
        model.key.partition("@")[0],
        model.key.removeprefix("text-embedding-"),
        repository,
        _REPOSITORY_SUFFIX.sub("", repository),
        path.name,
        path.stem,
        str(model.file).lower().replace("\\", "/").strip("/"),
    }
