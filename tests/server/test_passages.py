"""Cutting texts into passages, and ranking them."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
from fake_engine import FakeFile, fake_file
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_server.api.retrieval import RetrievalSettings, default_model, settings_of
from lmstudio_server.documents.desk import SearchDesk
from lmstudio_server.documents.document import Document
from lmstudio_server.documents.page import page_text
from lmstudio_server.documents.passages import Passage, cut, passages_of, rank, unit_vector
from lmstudio_server.errors import ShuttingDownError, WireError
from waiting import eventually


def parts(text: str, size: int, overlap: int = 0) -> list[str]:
    return [text[start:end] for start, end in cut(text, size, overlap)]


def told(document: Document, size: int, overlap: int) -> list[Passage]:
    return [passage for passage in passages_of(document, size, overlap) if passage is not None]


@pytest.mark.parametrize(
    ("text", "size", "overlap", "expected"),
    [
        ("", 10, 3, []),
        ("short", 10, 3, ["short"]),
        ("one two three", 8, 0, ["one two ", "three"]),
        ("one two three", 8, 4, ["one two ", "three"]),
        ("a b c d e f", 6, 2, ["a b c ", "c d e ", "e f"]),
        ("first one\n\nsecond one", 12, 5, ["first one\n\n", "second one"]),
        ("abcdefghij", 4, 2, ["abcd", "efgh", "ij"]),
        ("A bit. B bit. C bit.", 14, 0, ["A bit. B bit. ", "C bit."]),
    ],
)
def test_where_texts_are_cut(text: str, size: int, overlap: int, expected: list[str]) -> None:
    assert parts(text, size, overlap) == expected


@given(st.text("ab .\n", max_size=300), st.integers(1, 40), st.data())
def test_nothing_is_lost_and_nothing_too_long(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    spans = list(cut(text, size, overlap))
    assert all(0 < end - start <= size for start, end in spans)
    covered = 0
    for start, end in spans:
        assert covered - overlap <= start <= covered < end
        covered = end
    assert covered == len(text)


@pytest.mark.parametrize("text", ["\n" * 50_000, "a " * 25_000, "a" * 50_000, "\n\na. b c" * 5_000])
def test_an_overlap_near_the_size_does_not_multiply_the_text(text: str) -> None:
    """At most half of each passage has been in the one before it."""
    for size in (2, 3, 10, 512):
        spans = list(cut(text, size, size - 1))
        assert sum(end - start for start, end in spans) <= 3 * len(text)


def test_cutting_begins_before_all_is_looked_at() -> None:
    endless = Document(("\n" * 30_000_000,))
    assert next(passages_of(endless, 1, 0)) is None


def searching(use: Callable[[SearchDesk], Awaitable[None]]) -> None:
    async def main() -> None:
        desk = SearchDesk()
        try:
            await asyncio.wait_for(use(desk), 30)
        finally:
            desk.close()

    asyncio.run(main())


@pytest.mark.parametrize("text", ["a" * 100, "\n" * 100])
def test_there_are_only_so_many_passages(text: str) -> None:
    async def use(desk: SearchDesk) -> None:
        assert len(await desk.cut(Document(("ab",)), 1, 0, 2)) == 2
        with pytest.raises(WireError, match="more than 20000 passages") as caught:
            await desk.cut(Document((text,)), 1, 0, 99)
        assert "chunkSize" in str(caught.value.suggestion)

    searching(use)


def test_searches_hold_up_no_other_work_and_end_with_the_server() -> None:
    class Endless:
        """Passages without an end."""

        def __iter__(self) -> Iterator[Passage]:
            while True:
                begun.set()
                yield Passage("a", None, None, array("f", [1.0]))

    begun = threading.Event()

    async def use(desk: SearchDesk) -> None:
        endless = [
            asyncio.ensure_future(desk.rank([1.0], [(0, cast("Any", Endless()))], 1))
            for _ in range(40)
        ]
        assert await asyncio.to_thread(begun.wait, 30)
        # The threads that everything else is done in are free.
        await asyncio.gather(*(asyncio.to_thread(int) for _ in range(40)))
        desk.close()
        ended = await asyncio.gather(*endless, return_exceptions=True)
        assert all(isinstance(e, (ShuttingDownError, asyncio.CancelledError)) for e in ended)
        with pytest.raises(ShuttingDownError):
            await desk.cut(Document(("a",)), 1, 0, 9)

    searching(use)
    eventually(lambda: not any(t.name.startswith("lmstudio-search") for t in threading.enumerate()))


def test_places() -> None:
    paged = told(Document(("one", " \n", "two"), paged=True), 10, 0)
    assert [(p.content, p.pages, p.lines) for p in paged] == [
        ("one", (1, 1), None),
        ("two", (3, 3), None),
    ]
    plain = told(Document(("\none\ntwo\n\n\nthree\n",)), 9, 0)
    assert [(p.content, p.pages, p.lines) for p in plain] == [
        ("one\ntwo", None, (2, 3)),
        ("three", None, (6, 6)),
    ]


def test_ranking() -> None:
    def passage(name: str, *vector: float) -> Passage:
        return Passage(name, None, (1, 2), unit_vector(vector))

    sources = [(0, [passage("far", -1, 0), passage("near", 9, 1)]), (4, [passage("zero", 0, 0)])]
    found = rank([2, 0], sources, 2)
    assert [(e["content"], e["sourceIndex"], e["lineNumber"]) for e in found] == [
        ("near", 0, [1, 2]),
        ("zero", 4, [1, 2]),
    ]
    assert found[0]["score"] == pytest.approx(0.9939, abs=1e-4)
    assert len(rank([2, 0], sources, 99)) == 3


def test_the_model_that_embeds_if_none_is_named() -> None:
    def files(*keys: str) -> list[FakeFile]:
        return [fake_file(key, kind="embedding") for key in keys] + [fake_file("all-minilm-llm")]

    assert default_model(files("pocket-embedding", "nomic", "all-MiniLM-L6-v2@q8_0")).startswith(
        "all"
    )
    assert default_model(files("pocket-embedding", "nomic")) == "nomic"
    assert default_model(files("pocket-embedding")) == "pocket-embedding"
    broken = fake_file("nomic", kind="embedding", problem="cut short")
    assert default_model([broken]) == "all-minilm-l6-v2"  # the error names what to get


def test_settings() -> None:
    assert settings_of({}) == RetrievalSettings(None, 5, 512, 100)
    odd = {"retrieval.limit": 0, "retrieval.embeddingModel": 5, "retrieval.chunkingMethod": "x"}
    assert settings_of(odd) == RetrievalSettings(None, 5, 512, 100)
    method = {"type": "recursive-v1", "chunkSize": 50, "chunkOverlap": 70}
    given = {"retrieval.limit": 2.0, "retrieval.embeddingModel": "m"}
    assert settings_of({**given, "retrieval.chunkingMethod": method}) == RetrievalSettings(
        "m", 2, 50, 25
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("a<br>b &amp; c", "a\nb & c"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("x<script>no<b>no</b></script>y<style>no</style>", "xy"),
        ("<p>never <b>closed", "never closed"),
        ("a &lt;b&gt; < c", "a <b> < c"),
    ],
)
def test_pages(html: str, text: str) -> None:
    assert page_text(html) == text
