"""``client.files`` against a scripted server, sync and async."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path
from typing import Any

import pytest

import lmstudio_core as lms
from lmstudio_core import FileHandle
from lmstudio_core.errors import LMStudioOSError, LMStudioServerError, LMStudioValueError
from lmstudio_testing import ServerFailure

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
HANDLE = FileHandle(name="a.pdf", identifier="id-a", size_bytes=3, file_type="application/pdf")
OTHER = FileHandle(name="b.txt", identifier="id-b", size_bytes=4, file_type="text/plain")


def upload(parameter: Any) -> Any:
    size = len(base64.b64decode(parameter["contentBase64"]))
    return {"identifier": "id-1", "fileType": "image", "sizeBytes": size}


# -- uploads -------------------------------------------------------------------------------------


def test_an_image_is_sent_as_base64(api: Any, server: Any, tmp_path: Path) -> None:
    server.on("files.uploadFileBase64", upload)
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    for src in (path, str(path)):
        handle = api(api.client.files.prepare_image(src))
        assert handle == FileHandle(
            name="cat.png", identifier="id-1", size_bytes=len(PNG), file_type="image"
        )
    assert server.parameters[0] == {
        "name": "cat.png",
        "contentBase64": base64.b64encode(PNG).decode(),
    }


def test_bytes_and_file_objects_are_images_too(api: Any, server: Any) -> None:
    server.on("files.uploadFileBase64", upload)
    api(api.client.prepare_image(PNG, "one.png"))
    api(api.client.prepare_image(io.BytesIO(PNG), name="two.png"))
    api(api.client.prepare_image(PNG))
    assert [p["name"] for p in server.parameters] == ["one.png", "two.png", "image.png"]


def test_what_cannot_be_read_or_is_no_image_is_not_sent(
    api: Any, server: Any, tmp_path: Path
) -> None:
    with pytest.raises(LMStudioOSError, match=r"gone\.png"):
        api(api.client.files.prepare_image(tmp_path / "gone.png"))
    with pytest.raises(LMStudioValueError, match="PNG or WebP"):
        api(api.client.files.prepare_image(b"hello"))
    assert server.requests == ()


def test_any_file_can_be_sent(api: Any, server: Any, tmp_path: Path) -> None:
    server.on(
        "files.uploadFileBase64", {"identifier": "x", "fileType": "text/plain", "sizeBytes": 5}
    )
    path = tmp_path / "notes.txt"
    path.write_text("hello", encoding="utf-8")
    handle = api(api.client.files.prepare_file(path))
    assert (handle.name, handle.file_type, handle.size_bytes) == ("notes.txt", "text/plain", 5)
    assert api(api.client.files.prepare_file(b"", "empty.txt")).name == "empty.txt"


def test_a_new_kind_of_file_is_kept(api: Any, server: Any) -> None:
    server.on_odd(
        "files.uploadFileBase64", {"identifier": "x", "fileType": "video", "sizeBytes": 5}
    )
    assert api(api.client.files.prepare_file(b"hello")).file_type == "video"


def test_an_answer_without_an_identifier_is_the_servers_fault(api: Any, server: Any) -> None:
    server.on_odd("files.uploadFileBase64", {"fileType": "image"})
    with pytest.raises(LMStudioServerError, match="could not be understood"):
        api(api.client.files.prepare_file(b"hello"))


def test_the_convenience_function_uses_the_default_client(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("files.uploadFileBase64", upload)
    with lms.Client(server.api_host) as client:
        monkeypatch.setattr("lmstudio_core.client.convenience.get_default_client", lambda: client)
        assert lms.prepare_image(PNG).identifier == "id-1"


# -- what the server knows -----------------------------------------------------------------------


def test_paths_and_libraries(api: Any, server: Any) -> None:
    server.on("files.getLocalFileAbsolutePath", {"path": "/files/a.pdf"})
    server.on("files.getDocumentParsingLibrary", {"library": "pdf-parse", "version": "1.2"})
    assert api(api.client.files.get_local_file_path(HANDLE)) == "/files/a.pdf"
    library = api(api.client.files.get_document_parsing_library(HANDLE.to_dict()))
    assert (library.library, library.version) == ("pdf-parse", "1.2")
    assert server.parameters == [{"fileName": "id-a"}, {"fileIdentifier": "id-a"}]


def test_only_handles_name_files_of_the_server(api: Any, server: Any) -> None:
    with pytest.raises(LMStudioValueError, match="prepare_file"):
        api(api.client.files.parse_document("notes.txt"))
    with pytest.raises(LMStudioValueError, match=r"identifer.*identifier"):
        api(api.client.files.get_local_file_path({"name": "a", "identifer": "b"}))
    assert server.requests == ()


# -- documents -----------------------------------------------------------------------------------

PARSER = {"library": "pdf-parse", "version": "1.2"}


def test_a_document_is_parsed(api: Any, server: Any) -> None:
    server.on_channel(
        "files.parseDocument",
        [
            {"type": "parserLoaded", "parser": PARSER},
            {"type": "progress", "progress": 0.25},
            {"type": "progress", "progress": 0.25},
            {"type": "progress", "progress": 0.1},
            {"type": "progress", "progress": 1.5},
            {"type": "result", "content": "Hello.", "parser": PARSER},
        ],
    )
    seen: list[Any] = []
    document = api(
        api.client.files.parse_document(
            HANDLE, on_progress=seen.append, on_parser_loaded=lambda p: seen.append(p.library)
        )
    )
    assert (document.content, str(document)) == ("Hello.", "Hello.")
    assert document.parser.version == "1.2"
    assert seen == ["pdf-parse", 0.25, 1.0]
    assert server.parameters == [{"fileIdentifier": "id-a", "parseOpts": {}}]


def test_the_parser_can_be_chosen(api: Any, server: Any) -> None:
    server.on_channel("files.parseDocument", [{"type": "result", "content": "", "parser": PARSER}])
    document = api(api.client.files.parse_document(HANDLE, parser=PARSER))
    api(api.client.files.parse_document(HANDLE, parser=document.parser))
    assert [p["parseOpts"] for p in server.parameters] == [{"parserId": PARSER}] * 2
    with pytest.raises(LMStudioValueError, match="a library and a version"):
        api(api.client.files.parse_document(HANDLE, parser={"library": "x"}))


def test_a_document_that_cannot_be_parsed(api: Any, server: Any) -> None:
    server.on_channel("files.parseDocument", ServerFailure("No parser", cause="It is a picture."))
    with pytest.raises(LMStudioServerError, match="No parser\nIt is a picture"):
        api(api.client.files.parse_document(HANDLE))


def test_packets_of_a_newer_server_are_skipped(api: Any, server: Any) -> None:
    server.on_odd_channel(
        "files.parseDocument",
        [
            {"type": "guess"},
            "nonsense",
            {"type": "progress", "progress": "half"},
            {"type": "parserLoaded"},
            {"type": "result", "content": "Hello.", "parser": None, "pages": 3},
        ],
    )
    document = api(api.client.files.parse_document(HANDLE, on_progress=print))
    assert document.content == "Hello."
    assert document.pages == 3


# -- retrieval -----------------------------------------------------------------------------------

PACKETS: list[dict[str, Any]] = [
    {"type": "onFileProcessList", "indices": [1]},
    {"type": "onFileProcessingStart", "index": 1},
    {"type": "onFileProcessingStepStart", "index": 1, "step": "loading"},
    {"type": "onFileProcessingStepProgress", "index": 1, "step": "loading", "progress": 0.5},
    {"type": "onFileProcessingStepEnd", "index": 1, "step": "loading"},
    {"type": "onFileProcessingEnd", "index": 1},
    {"type": "onSearchingStart"},
    {"type": "onSearchingEnd"},
    {
        "type": "result",
        "result": {
            "entries": [
                {"content": "Paris.", "score": 0.9, "sourceIndex": 0, "pageNumber": 3},
                {"content": "Rome.", "score": 0.5, "sourceIndex": 1, "lineNumber": [2, 4]},
            ]
        },
    },
]


def test_passages_are_retrieved(api: Any, server: Any) -> None:
    server.on_channel("files.retrieve", PACKETS)
    events: list[Any] = []
    result = api(api.client.files.retrieve("capital", [HANDLE, OTHER], on_event=events.append))
    paris, rome = result.entries
    assert (paris.content, paris.score, paris.source, paris.page_number) == (
        "Paris.",
        0.9,
        HANDLE,
        3,
    )
    assert (rome.source, rome.source_index, rome.line_number) == (OTHER, 1, (2, 4))
    assert server.parameters == [
        {"query": "capital", "fileIdentifiers": ["id-a", "id-b"], "config": {"fields": []}}
    ]
    assert [event.type for event in events] == [
        "files",
        "file_start",
        "step_start",
        "step_progress",
        "step_end",
        "file_end",
        "searching_start",
        "searching_end",
    ]
    assert events[0].files == (OTHER,)
    assert (events[3].file, events[3].step, events[3].progress) == (OTHER, "loading", 0.5)


def test_retrieval_can_be_configured(api: Any, server: Any) -> None:
    server.on_channel("files.retrieve", PACKETS[-1:])
    model = lms.SyncModelHandle("nomic", None)  # type: ignore[arg-type]
    api(
        api.client.files.retrieve(
            "x",
            iter([HANDLE]),
            embedding_model=model,
            limit=3,
            chunk_size=64,
            database_path="/db.json",
        )
    )
    api(api.client.files.retrieve("x", [HANDLE], chunk_overlap=7, embedding_model="other"))
    first, second = (
        {field["key"]: field["value"] for field in parameter["config"]["fields"]}
        for parameter in server.parameters
    )
    assert first == {
        "retrieval.chunkingMethod": {"type": "recursive-v1", "chunkSize": 64, "chunkOverlap": 63},
        "retrieval.limit": 3,
        "retrieval.embeddingModel": "nomic",
        "retrieval.databaseFile": "/db.json",
    }
    assert second["retrieval.chunkingMethod"]["chunkSize"] == 512
    assert second["retrieval.chunkingMethod"]["chunkOverlap"] == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"query": 3}, "query must be a string"),
        ({"files": []}, "nothing to search"),
        ({"files": HANDLE}, "a list of file handles"),
        ({"files": "id"}, "a list of file handles"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"limit": True}, "limit is a whole number"),
        ({"chunk_size": 10, "chunk_overlap": 10}, "less than chunk_size"),
        ({"chunk_overlap": -1}, "not negative"),
        ({"embedding_model": 5}, "identifier or its handle"),
    ],
)
def test_wrong_arguments_are_named(api: Any, server: Any, arguments: Any, words: str) -> None:
    with pytest.raises(LMStudioValueError, match=words):
        api(api.client.files.retrieve(**{"query": "x", "files": [HANDLE], **arguments}))
    assert server.requests == ()


def test_odd_results_are_kept(api: Any, server: Any) -> None:
    server.on_odd_channel(
        "files.retrieve",
        [
            {"type": "onFileProcessingStart", "index": 9},
            {"type": "result", "result": {"entries": [{"content": "x", "sourceIndex": 9}, 4]}},
        ],
    )
    events: list[Any] = []
    result = api(api.client.files.retrieve("x", [HANDLE], on_event=events.append))
    assert [entry.source for entry in result.entries] == [None, None]
    assert events[0].file is None


def test_a_callback_that_raises_is_logged(
    api: Any, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.on_channel("files.retrieve", PACKETS)

    def wrong(event: Any) -> None:
        raise RuntimeError("my mistake")

    with caplog.at_level(logging.ERROR, "lmstudio"):
        assert api(api.client.files.retrieve("x", [HANDLE, OTHER], on_event=wrong)).entries
    assert "on_event raised" in caplog.text


def test_stopping_early_tells_the_server(server: Any) -> None:
    server.on_channel("files.retrieve")

    def stop(event: Any) -> None:
        raise KeyboardInterrupt

    with lms.Client(server.api_host) as client:
        server.on_channel("files.retrieve", lambda channel: channel.send(PACKETS[6]))
        with pytest.raises(KeyboardInterrupt):
            client.files.retrieve("x", [HANDLE], on_event=stop)
        server.wait_for_request("files.retrieve").wait_for_message("stop")
