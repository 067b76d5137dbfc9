"""One retrieval: files are read, cut and embedded, then searched."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_server.documents.desk import MOST_PASSAGES
from lmstudio_server.documents.passages import Passage, unit_vector
from lmstudio_server.errors import WireError
from lmstudio_server.kv import stack

from .models import ensure_loaded, run_engine

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from lmstudio_server.files import Upload
    from lmstudio_server.library import ModelFile
    from lmstudio_server.registry import Instance

    from .endpoint import Channel

__all__ = ["Retrieval", "RetrievalSettings", "default_model", "settings_of"]

_log = logging.getLogger(__name__)

GOOD_MODEL: Final = "all-minilm-l6-v2"
POOR_MODEL: Final = "pocket-embedding"
LOADED_FOR_MS: Final = 3_600_000
LIMIT: Final = 5
CHUNK_SIZE: Final = 512
CHUNK_OVERLAP: Final = 100
KEPT_SETTINGS: Final = 3
"""For how many settings the passages of a file are kept."""


@dataclass(frozen=True)
class RetrievalSettings:
    """The ``retrieval.…`` keys of a configuration."""

    model: str | None
    limit: int
    chunk_size: int
    chunk_overlap: int


def settings_of(config: stack.Config) -> RetrievalSettings:
    """Read a configuration; what is missing or makes no sense is as LM Studio has it by default."""
    given: object = config.get("retrieval.chunkingMethod")
    method = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    size = stack.integer(method.get("chunkSize"), 1) or CHUNK_SIZE
    overlap = stack.integer(method.get("chunkOverlap"), 0)
    model: object = config.get("retrieval.embeddingModel")
    if config.get("retrieval.databaseFile"):
        _log.debug("no effect here: retrieval.databaseFile")
    return RetrievalSettings(
        model=model if isinstance(model, str) and model else None,
        limit=stack.integer(config.get("retrieval.limit"), 1) or LIMIT,
        chunk_size=size,
        chunk_overlap=min(CHUNK_OVERLAP if overlap is None else overlap, size // 2),
    )


def default_model(files: Iterable[ModelFile]) -> str:
    """What embeds where the client names no model: any is better than the pocket model."""
    keys = [file.key for file in files if file.kind == "embedding" and file.problem is None]
    ranked = sorted(keys, key=lambda key: (key == POOR_MODEL, GOOD_MODEL not in key.lower()))
    return ranked[0] if ranked else GOOD_MODEL


class Retrieval:
    """Searches some files for a query, and writes what happens to a channel."""

    def __init__(
        self, channel: Channel, query: str, files: Sequence[Upload], settings: RetrievalSettings
    ) -> None:
        self._channel = channel
        self._query = query
        self._files = files
        self._found: dict[str, Sequence[Passage]] = {}
        self._settings = settings

    async def run(self) -> None:
        """Everything, from the list of files to the result."""
        if not self._query.strip():
            raise WireError("The query is empty.", suggestion="Say in words what is to be found.")
        instance = await self._model()
        key: Hashable = (
            instance.file.path,
            self._settings.chunk_size,
            self._settings.chunk_overlap,
        )
        async with self._channel.services.registry.use(instance, "computingEmbedding"):
            await self._process(instance, key)
            await self._search(instance)

    async def _model(self) -> Instance:
        name = self._settings.model
        if name is None:
            files = await asyncio.to_thread(self._channel.services.library.scan)
            name = default_model(files)
        channel = replace(self._channel, namespace="embedding")
        instance = await ensure_loaded(channel, name, LOADED_FOR_MS)
        if instance is None:
            raise asyncio.CancelledError
        return instance

    async def _process(self, instance: Instance, key: Hashable) -> None:
        send = self._channel.send
        # A file may be named twice; it is embedded once.
        first = {file.identifier: n for n, file in reversed(list(enumerate(self._files)))}
        todo = sorted(n for n in first.values() if key not in self._files[n].passages)
        self._found = {
            file.identifier: file.passages[key] for file in self._files if key in file.passages
        }
        await send({"type": "onFileProcessList", "indices": todo})
        for index in todo:
            await send({"type": "onFileProcessingStart", "index": index})
            passages = await self._embedded(instance, index)
            file = self._files[index]
            self._found[file.identifier] = file.passages[key] = passages
            # A client that tries one setting after the other must not fill the memory.
            for old in list(file.passages)[:-KEPT_SETTINGS]:
                del file.passages[old]
            await send({"type": "onFileProcessingEnd", "index": index})

    async def _embedded(self, instance: Instance, index: int) -> Sequence[Passage]:
        loading = _Step(self._channel, index, "loading")
        await loading.start()
        document = await self._channel.services.documents.read(self._files[index], loading.progress)
        await loading.end()
        chunking = _Step(self._channel, index, "chunking")
        await chunking.start()
        size, overlap = self._settings.chunk_size, self._settings.chunk_overlap
        room = MOST_PASSAGES - sum(map(len, self._found.values()))
        passages = await self._channel.services.searches.cut(document, size, overlap, room)
        await chunking.end()
        embedding = _Step(self._channel, index, "embedding")
        await embedding.start()
        for number, passage in enumerate(passages, 1):
            passage.vector = unit_vector(await self._embed(instance, passage.content))
            await embedding.progress(number / len(passages))
        await embedding.end()
        return passages

    async def _embed(self, instance: Instance, text: str) -> Sequence[float]:
        return await run_engine(self._channel, instance, instance.model.embed(text))

    async def _search(self, instance: Instance) -> None:
        send = self._channel.send
        await send({"type": "onSearchingStart"})
        query = await self._embed(instance, self._query)
        sources = [(n, self._found[file.identifier]) for n, file in enumerate(self._files)]
        searches = self._channel.services.searches
        entries = await searches.rank(query, sources, self._settings.limit)
        await send({"type": "onSearchingEnd"})
        await send({"type": "result", "result": {"entries": entries}})


class _Step:
    """One step of one file, and how far it is; it never seems to go back."""

    def __init__(self, channel: Channel, index: int, step: str) -> None:
        self._send = channel.send
        self._which = {"index": index, "step": step}
        self._shown = 0.0

    async def start(self) -> None:
        await self._send({"type": "onFileProcessingStepStart", **self._which})

    async def progress(self, value: float) -> None:
        if value <= self._shown:
            return
        self._shown = value
        packet = {"type": "onFileProcessingStepProgress", **self._which, "progress": value}
        await self._send(packet)

    async def end(self) -> None:
        await self.progress(1.0)
        await self._send({"type": "onFileProcessingStepEnd", **self._which})
