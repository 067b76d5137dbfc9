"""Parsing, retrieval, and documents in chats: our SDK against the real server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
from document_files import archive, bomb, deflated_pdf, laughs, paragraph, pdf, word
from wire_client import client as wire_client
from wire_client import fake_server, run

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioServerError
from lmstudio_llm import Chat
from lmstudio_server.testing import running_server

TEXT = "Die Katze schläft.\n\nThe dog barks."
PAGES = ["The cat sleeps.\nIt dreams of mice.", "", "The dog barks."]
TABLE = "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>"
WORD = word(paragraph("First &amp; foremost") + TABLE.format(paragraph("a"), paragraph("b")))
HTML = (
    b"<html><head><title>Cats</title><style>p{}</style></head><body><h1>Cats</h1>"
    b"<p>They <b>sleep</b> &amp; eat.<script>var x = 1</script></p></body></html>"
)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


def with_sync(host: str, use: Callable[[Any, Callable[[Any], Any]], Any]) -> Any:
    """Run a coroutine function written for both facades over the sync one."""

    async def now(value: Any) -> Any:
        return value

    with Client(host) as client:
        return asyncio.run(use(client, now))


def with_async(host: str, use: Callable[[Any, Callable[[Any], Any]], Any]) -> Any:
    async def main() -> Any:
        async with AsyncClient(host) as client:
            return await use(client, lambda value: value)

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("over", [with_sync, with_async])


@BOTH
@pytest.mark.parametrize(
    ("name", "content", "library", "expected"),
    [
        ("a.txt", TEXT.encode(), "lmstudio-server", TEXT),
        ("bom.txt", b"\xef\xbb\xbfhi", "lmstudio-server", "hi"),
        ("empty.txt", b"", "lmstudio-server", ""),
        ("a.md", b"# One\n\n* two", "lmstudio-server", "# One\n\n* two"),
        ("a.html", HTML, "lmstudio-server", "Cats\n\nCats\n\nThey sleep & eat."),
        ("a.pdf", pdf(PAGES), "pypdf", f"{PAGES[0]}\n\n{PAGES[2]}"),
        ("a.docx", WORD, "lmstudio-server", "First & foremost\na\tb"),
    ],
)
def test_parsing(
    host: str, over: Any, name: str, content: bytes, library: str, expected: str
) -> None:
    progress: list[float] = []
    loaded: list[Any] = []

    async def use(client: Any, done: Any) -> None:
        file = await done(client.files.prepare_file(content, name))
        known = await done(client.files.get_document_parsing_library(file))
        assert (known.library, known.version) == (library, version(library))
        for _ in range(2):  # the second time it is known
            parsed = await done(
                client.files.parse_document(
                    file,
                    parser=known,
                    on_progress=progress.append,
                    on_parser_loaded=loaded.append,
                )
            )
            assert parsed.content == expected
            assert parsed.parser == known == loaded[-1]
            assert progress[-1] == 1.0

    over(host, use)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.pdf", b"%PDF-1.7\nnothing of the kind", "Check that it opens"),
        ("cut.pdf", pdf(PAGES)[:60], "Check that it opens"),
        ("bomb.pdf", deflated_pdf(400_000_000), "Check that it opens"),
        ("bomb.docx", bomb(200_000_000), "at most 64 MiB"),
        ("laughs.docx", laughs(), "not as Word writes"),
        ("no.docx", b"no archive", "no intact .docx"),
        ("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "no intact .docx"),
        ("other.docx", archive("xl/workbook.xml", b"<a/>"), "has no part"),
        ("damaged.docx", archive("word/document.xml", b"<a><b></a>"), "damaged"),
        ("deep.docx", word("<w:tbl>" * 20_000 + "</w:tbl>" * 20_000), "too deeply"),
        ("pixel.png", b"\x89PNG\r\n\x1a\n", "It is an image"),
        ("data.bin", bytes(range(256)), "neither text nor"),
    ],
)
def test_what_cannot_be_parsed(host: str, name: str, content: bytes, words: str) -> None:
    with Client(host) as client:
        file = client.files.prepare_file(content, name)
        with pytest.raises(LMStudioServerError, match="cannot be parsed") as caught:
            client.files.parse_document(file)
        assert words in str(caught.value)
        assert (
            client.files.parse_document(client.files.prepare_file(b"hi", "a.txt")).content == "hi"
        )


def test_other_peoples_files_and_parsers(host: str) -> None:
    with Client(host) as client, Client(host) as other:
        file = client.files.prepare_file(b"hi", "a.txt")
        for ask in (other.files.parse_document, other.files.get_document_parsing_library):
            with pytest.raises(LMStudioServerError, match="No file"):
                ask(file)
        with pytest.raises(LMStudioServerError, match="No file"):
            other.files.retrieve("hi", [file])
        with pytest.raises(LMStudioServerError, match="no parser tika"):
            client.files.parse_document(file, parser={"library": "tika", "version": "1"})


@BOTH
def test_documents_in_a_chat(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        model = await done(client.llm.model("pocket"))
        for name, content, words in (
            ("a.pdf", pdf(PAGES), "[a.pdf]\nThe cat sleeps.\nIt dreams of mice."),
            ("a.docx", WORD, "[a.docx]\nFirst & foremost\na\tb"),
            ("a.md", TEXT.encode(), f"[a.md]\n{TEXT}"),
        ):
            file = await done(client.files.prepare_file(content, name))
            chat = Chat()
            chat.add_user_message(["What is the capital of France?", file])
            assert words in await done(model.apply_prompt_template(chat))
            assert (await done(model.respond(chat, config={"maxTokens": 3}))).content
        for name, content, words in (
            ("blank.pdf", pdf([""]), "no text in it"),
            ("broken.pdf", b"%PDF-", "cannot be parsed"),
        ):
            file = await done(client.files.prepare_file(content, name))
            chat = Chat()
            chat.add_user_message(["What is this?", file])
            with pytest.raises(LMStudioServerError, match=words):
                await done(model.respond(chat))

    over(host, use)


@BOTH
def test_retrieval_tells_what_happens(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        paged = await done(client.files.prepare_file(pdf(PAGES), "a.pdf"))
        lines = await done(client.files.prepare_file(b"one\n\ntwo words\n\nthree", "a.txt"))
        files = [paged, lines, paged]
        events: list[Any] = []
        options: Any = {"chunk_size": 20, "chunk_overlap": 0, "on_event": events.append}
        found = await done(client.files.retrieve("one\n\ntwo words", files, limit=3, **options))
        kinds = [(e.type, e.step) for e in events if e.type != "step_progress"]
        steps = [
            (f"step_{w}", s) for s in ("loading", "chunking", "embedding") for w in ("start", "end")
        ]
        file = [("file_start", None), *steps, ("file_end", None)]
        search = [("searching_start", None), ("searching_end", None)]
        assert kinds == [("files", None), *file, *file, *search]
        assert events[0].files == (paged, lines)
        assert {e.progress for e in events if e.type == "step_progress"} >= {1.0}
        scores = [entry.score for entry in found.entries]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        best = found.entries[0]  # it is the query itself
        assert best.score == pytest.approx(1, abs=1e-3)
        assert (best.content, best.source_index, best.line_number) == (
            "one\n\ntwo words",
            1,
            (1, 3),
        )
        everything = await done(client.files.retrieve("cat", files, limit=99, **options))
        assert [e.type for e in events[-3:]] == ["files", "searching_start", "searching_end"]
        assert events[-3].files == ()  # all known already
        assert {(e.source_index, e.page_number) for e in everything.entries} == {
            (0, 1), (0, 3), (1, None), (2, 1), (2, 3),
        }  # fmt: skip

    over(host, use)


@BOTH
def test_retrieval_that_cannot_be(host: str, over: Any) -> None:
    async def use(client: Any, done: Any) -> None:
        file = await done(client.files.prepare_file(b"hi", "a.txt"))
        image = await done(client.files.prepare_file(b"\x89PNG\r\n\x1a\n", "a.png"))
        for query, files, model, words in (
            ("hi", [file], "pocket", "not an embedding model"),
            ("hi", [file], "nobody", "nobody"),
            ("hi", [file, image], None, "It is an image"),
            (" ", [file], None, "query is empty"),
        ):
            with pytest.raises(LMStudioServerError, match=words):
                await done(client.files.retrieve(query, files, embedding_model=model))
        empty = await done(client.files.prepare_file(b"", "a.txt"))
        assert (await done(client.files.retrieve("hi", [empty]))).entries == ()

    over(host, use)


def test_retrieval_can_be_cancelled(host: str) -> None:
    async def main() -> None:
        async with AsyncClient(host) as client:
            model = await client.embedding.model("pocket-embedding")
            long = await client.files.prepare_file(b"One more line.\n" * 20_000, "long.txt")
            started = asyncio.Event()

            def on_event(event: Any) -> None:
                if event.type == "step_progress" and event.step == "embedding":
                    started.set()

            task = asyncio.create_task(
                client.files.retrieve("line", [long], embedding_model=model, on_event=on_event)
            )
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while (await model.processing_state()).status != "idle":
                pass
            short = await client.files.prepare_file(b"One line.", "short.txt")
            assert len((await client.files.retrieve("line", [short])).entries) == 1

    asyncio.run(asyncio.wait_for(main(), 60))


def test_packets_are_those_of_the_protocol() -> None:
    async def test() -> None:
        async with fake_server() as server, wire_client(server, "files") as files:
            content = base64.b64encode(pdf(PAGES)).decode()
            up = await files.call("uploadFileBase64", name="a.pdf", contentBase64=content)
            file = {"fileIdentifier": up["identifier"]}
            assert (await files.call("getDocumentParsingLibrary", **file))["library"] == "pypdf"
            packets = await files.collect("parseDocument", **file, parseOpts={})
            kinds = [packet["type"] for packet in packets]
            assert kinds == [
                "parserLoaded",
                "progress",
                "progress",
                "progress",
                "progress",
                "result",
            ]
            limit = {"fields": [{"key": "retrieval.limit", "value": 1}]}
            parameter: Any = {"fileIdentifiers": [up["identifier"]], "config": limit}
            found = await files.collect("retrieve", query="cat", **parameter)
            assert found[-1]["result"]["entries"][0]["pageNumber"] in (1, 3)

    run(test)
