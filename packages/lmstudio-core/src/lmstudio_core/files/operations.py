"""The operations on files, without I/O except for reading local files in an ``Invoke``."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from ..config import kv_config
from ..errors import LMStudioValueError
from ..lenient import Rising, as_list, as_mapping, as_number, report
from ..models.handles import ModelHandleBase
from ..protocol.operations import Call, Channel, Endpoint, Invoke, Op
from .data import (
    DocumentParsingLibrary,
    ParsedDocument,
    RetrievalEvent,
    RetrievalEventType,
    RetrievalResult,
    RetrievalResultEntry,
    Span,
)
from .handles import FileHandle, FileHandleInput, LocalFileInput
from .sources import check_image, check_source, read_source

__all__ = [
    "get_document_parsing_library",
    "get_local_file_path",
    "parse_document",
    "prepare_file",
    "prepare_image",
    "retrieve",
    "upload",
]

_CHUNK_SIZE: Final = 512
_CHUNK_OVERLAP: Final = 100


def _handle(file: FileHandleInput) -> FileHandle:
    if isinstance(file, FileHandle):
        return file
    if isinstance(cast("object", file), Mapping):
        return FileHandle.from_dict(file)
    raise LMStudioValueError(
        f"A file of the server is a FileHandle or its dict, not {file!r}: send the file with "
        "prepare_file() first."
    )


# -- uploads -------------------------------------------------------------------------------------


def upload(name: str, content_base64: str) -> Call[FileHandle]:
    """Send a file's content."""

    def decode(raw: Any) -> FileHandle:
        return FileHandle(
            name=name,
            identifier=str(raw["identifier"]),
            size_bytes=int(raw.get("sizeBytes") or 0),
            file_type=str(raw.get("fileType", "unknown")),
        )

    parameter = {"name": name, "contentBase64": content_base64}
    return Call(Endpoint("files", "uploadFileBase64"), parameter, decode)


def _prepare(
    src: LocalFileInput, name: str | None, check: Callable[[bytes, str], None] | None
) -> Op[FileHandle]:
    check_source(src, name)

    def read() -> tuple[str, str]:
        data, file_name = read_source(src, name)
        if check is not None:
            check(data, file_name)
        return file_name, base64.b64encode(data).decode("ascii")

    read_name, content = yield Invoke(read, blocking=True)
    handle: FileHandle = yield upload(read_name, content)
    return handle


def prepare_file(src: LocalFileInput, name: str | None) -> Op[FileHandle]:
    """Read a local file and send it."""
    return _prepare(src, name, None)


def prepare_image(src: LocalFileInput, name: str | None) -> Op[FileHandle]:  # api
    """Read a local image, check its kind, and send it."""
    return _prepare(src, name, check_image)


# -- what the server knows -----------------------------------------------------------------------


def get_local_file_path(file: FileHandleInput) -> Call[str]:
    """Where the server keeps the file."""

    def decode(raw: Any) -> str:
        return str(raw["path"])

    parameter = {"fileName": _handle(file).identifier}
    return Call(Endpoint("files", "getLocalFileAbsolutePath"), parameter, decode)


def get_document_parsing_library(file: FileHandleInput) -> Call[DocumentParsingLibrary]:
    """Which library would parse the file."""
    parameter = {"fileIdentifier": _handle(file).identifier}
    return Call(
        Endpoint("files", "getDocumentParsingLibrary"), parameter, DocumentParsingLibrary.from_dict
    )


# -- documents -----------------------------------------------------------------------------------


class _ParseChannel(Channel[float, ParsedDocument]):
    endpoint = Endpoint("files", "parseDocument", "channel")

    def __init__(
        self,
        parameter: Mapping[str, Any],
        on_progress: Callable[[float], object] | None,
        on_parser_loaded: Callable[[DocumentParsingLibrary], object] | None,
    ) -> None:
        self.parameter = parameter
        self._on_progress = on_progress
        self._on_parser_loaded = on_parser_loaded
        self._rising = Rising()
        self._document = ParsedDocument()

    def feed(self, message: Any) -> Sequence[float]:
        packet = as_mapping(message)
        match packet.get("type"):
            case "parserLoaded":
                found = DocumentParsingLibrary.from_dict(as_mapping(packet.get("parser")))
                report(self._on_parser_loaded, "on_parser_loaded", found)
            case "progress":
                if (ratio := self._rising(packet.get("progress"))) is not None:
                    report(self._on_progress, "on_progress", ratio)
                    return (ratio,)
            case "result":
                self._document = ParsedDocument.from_dict(
                    {key: value for key, value in packet.items() if key != "type"}
                )
                self.done = True
            case _:
                pass
        return ()

    def result(self) -> ParsedDocument:
        return self._document


def parse_document(
    file: FileHandleInput,
    parser: DocumentParsingLibrary | Mapping[str, str] | None,
    on_progress: Callable[[float], object] | None,
    on_parser_loaded: Callable[[DocumentParsingLibrary], object] | None,
) -> Channel[float, ParsedDocument]:
    """Extract a document's text."""
    opts: dict[str, Any] = {}
    if parser is not None:
        wanted = DocumentParsingLibrary.from_dict(
            parser.to_dict() if isinstance(parser, DocumentParsingLibrary) else parser
        )
        if not wanted.library or not wanted.version:
            raise LMStudioValueError(f"A parser has a library and a version; {parser!r} has not.")
        opts["parserId"] = {"library": wanted.library, "version": wanted.version}
    parameter = {"fileIdentifier": _handle(file).identifier, "parseOpts": opts}
    return _ParseChannel(parameter, on_progress, on_parser_loaded)


# -- retrieval -----------------------------------------------------------------------------------

_EVENTS: Final[Mapping[str, RetrievalEventType]] = {
    "onFileProcessList": "files",
    "onFileProcessingStart": "file_start",
    "onFileProcessingStepStart": "step_start",
    "onFileProcessingStepProgress": "step_progress",
    "onFileProcessingStepEnd": "step_end",
    "onFileProcessingEnd": "file_end",
    "onSearchingStart": "searching_start",
    "onSearchingEnd": "searching_end",
}


def _span(value: object) -> Span:
    if isinstance(value, int):
        return value
    match as_list(value):
        case [int(first), int(last)]:
            return (first, last)
        case _:
            return None


class _RetrieveChannel(Channel[RetrievalEvent, RetrievalResult]):
    endpoint = Endpoint("files", "retrieve", "channel")
    cancel_message = {"type": "stop"}  # noqa: RUF012 - never mutated

    def __init__(
        self,
        query: str,
        files: Sequence[FileHandle],
        config: Mapping[str, Any],
        on_event: Callable[[RetrievalEvent], object] | None,
    ) -> None:
        self.parameter = {
            "query": query,
            "fileIdentifiers": [file.identifier for file in files],
            "config": kv_config(config),
        }
        self._files = files
        self._on_event = on_event
        self._result = RetrievalResult()

    def feed(self, message: Any) -> Sequence[RetrievalEvent]:
        packet = as_mapping(message)
        kind = packet.get("type")
        if kind == "result":
            entries = as_list(as_mapping(packet.get("result")).get("entries"))
            self._result = RetrievalResult(tuple(self._entry(as_mapping(raw)) for raw in entries))
            self.done = True
            return ()
        if not isinstance(kind, str) or (type_ := _EVENTS.get(kind)) is None:
            return ()
        event = self._event(type_, packet)
        report(self._on_event, "on_event", event)
        return (event,)

    def _event(self, type_: RetrievalEventType, packet: Mapping[str, Any]) -> RetrievalEvent:
        found = [self._file(index) for index in as_list(packet.get("indices"))]
        return RetrievalEvent(
            type_,
            files=tuple(file for file in found if file is not None),
            file=self._file(packet.get("index")),
            step=packet.get("step"),
            progress=packet.get("progress"),
        )

    def _file(self, index: object) -> FileHandle | None:
        if isinstance(index, int) and 0 <= index < len(self._files):
            return self._files[index]
        return None

    def _entry(self, raw: Mapping[str, Any]) -> RetrievalResultEntry:
        index = raw.get("sourceIndex", -1)
        return RetrievalResultEntry(
            content=str(raw.get("content", "")),
            score=as_number(raw.get("score")),
            source=self._file(index),
            source_index=index,
            page_number=_span(raw.get("pageNumber")),
            line_number=_span(raw.get("lineNumber")),
        )

    def result(self) -> RetrievalResult:
        return self._result


def _chunking(size: int | None, overlap: int | None) -> dict[str, Any]:
    if size is None and overlap is None:
        return {}
    size = _positive("chunk_size", _CHUNK_SIZE if size is None else size)
    overlap = min(_CHUNK_OVERLAP, size - 1) if overlap is None else _whole("chunk_overlap", overlap)
    if overlap >= size:
        raise LMStudioValueError(
            f"chunk_overlap must be less than chunk_size ({size}), not {overlap}."
        )
    method = {"type": "recursive-v1", "chunkSize": size, "chunkOverlap": overlap}
    return {"retrieval.chunkingMethod": method}


def _positive(name: str, value: object) -> int:
    if (number := _whole(name, value)) < 1:
        raise LMStudioValueError(f"{name} must be at least 1, not {value!r}.")
    return number


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise LMStudioValueError(f"{name} is a whole number that is not negative, not {value!r}.")
    return value


def _embedding_model(model: object) -> str:
    identifier: object = model.identifier if isinstance(model, ModelHandleBase) else model
    if not isinstance(identifier, str) or not identifier:
        raise LMStudioValueError(
            f"embedding_model is a model's identifier or its handle, not {model!r}."
        )
    return identifier


def _query(query: object) -> str:
    if not isinstance(query, str):
        raise LMStudioValueError(f"query must be a string, not {type(query).__name__}.")
    return query


def retrieve(
    query: str,
    files: Iterable[FileHandleInput],
    *,
    embedding_model: str | ModelHandleBase | None,
    limit: int | None,
    chunk_size: int | None,
    chunk_overlap: int | None,
    database_path: str | None,
    on_event: Callable[[RetrievalEvent], object] | None,
) -> Channel[RetrievalEvent, RetrievalResult]:
    """Find the passages of files that fit a query."""
    if isinstance(cast("object", files), (FileHandle, Mapping, str)):
        raise LMStudioValueError("files must be a list of file handles.")
    handles = [_handle(file) for file in files]
    if not handles:
        raise LMStudioValueError("There is nothing to search: files is empty.")
    config = _chunking(chunk_size, chunk_overlap)
    if limit is not None:
        config["retrieval.limit"] = _positive("limit", limit)
    if embedding_model is not None:
        config["retrieval.embeddingModel"] = _embedding_model(embedding_model)
    if database_path is not None:
        config["retrieval.databaseFile"] = database_path
    return _RetrieveChannel(_query(query), handles, config, on_event)
