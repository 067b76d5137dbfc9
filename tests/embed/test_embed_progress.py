"""Progress: a function of the caller's, and a bar; over both facades."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioRuntimeError, LMStudioServerError, LMStudioValueError
from lmstudio_embed import AsyncEmbeddingModel, EmbeddingModel
from lmstudio_testing import FakeServer, ServerFailure


def reply(parameter: dict[str, Any]) -> Any:
    text = parameter["inputString"]
    if text == "bad":
        raise ServerFailure("cannot embed")
    return {"embedding": [float(text)]}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.on("embedding.embedString", reply)
        yield server


def embed_sync(server: FakeServer, texts: Any, **options: Any) -> Any:
    with Client(server.api_host) as client:
        return EmbeddingModel("m", client).embed(texts, **options)


def embed_async(server: FakeServer, texts: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.api_host) as client:
            return await AsyncEmbeddingModel("m", client).embed(texts, **options)

    return asyncio.run(main())


def stream_sync(server: FakeServer, texts: Any, **options: Any) -> Any:
    with Client(server.api_host) as client:
        return list(EmbeddingModel("m", client).embed_stream(texts, **options))


def stream_async(server: FakeServer, texts: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.api_host) as client:
            stream = AsyncEmbeddingModel("m", client).embed_stream(texts, **options)
            return [vector async for vector in stream]

    return asyncio.run(main())


Embed = Callable[..., Any]
ALL = pytest.mark.parametrize("embed", [embed_sync, embed_async, stream_sync, stream_async])
STREAMS = pytest.mark.parametrize("embed", [stream_sync, stream_async])


class Seen(list[tuple[int, Any]]):
    """A progress function that remembers."""

    def __call__(self, done: int, total: int | None) -> None:
        self.append((done, total))


@ALL
def test_a_function_is_told_of_every_text(server: FakeServer, embed: Embed) -> None:
    seen = Seen()
    assert embed(server, ["1", "bad", "3"], progress=seen, on_error="skip") == [[1.0], [3.0]]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@STREAMS
def test_a_generator_has_no_known_total(server: FakeServer, embed: Embed) -> None:
    seen = Seen()
    embed(server, (str(n) for n in range(2)), progress=seen)
    assert seen == [(1, None), (2, None)]


@pytest.mark.parametrize("embed", [embed_sync, embed_async])
def test_one_text_is_one_step(server: FakeServer, embed: Embed) -> None:
    seen = Seen()
    assert embed(server, "1", progress=seen) == [1.0]
    assert seen == [(1, 1)]


@ALL
def test_what_the_function_raises_ends_the_call(server: FakeServer, embed: Embed) -> None:
    def stop(done: int, total: int | None) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        embed(server, ["1", "2"], progress=stop)


@ALL
def test_a_bar_is_drawn_on_standard_error(
    server: FakeServer, embed: Embed, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm", reason="the bar needs tqdm (lmstudio-embed[progress])")
    embed(server, ["1", "2", "3"], progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "3/3" in printed.err
    assert "texts" in printed.err


@ALL
def test_a_bar_ends_with_a_failure(
    server: FakeServer, embed: Embed, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm", reason="the bar needs tqdm (lmstudio-embed[progress])")
    with pytest.raises(LMStudioServerError):
        embed(server, ["1", "bad", "3"], progress=True)
    assert capsys.readouterr().err.endswith("\n")


@ALL
def test_without_tqdm_nothing_is_sent(
    server: FakeServer, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(LMStudioRuntimeError, match=r"lmstudio-embed\[progress\]"):
        embed(server, ["1"], progress=True)
    assert not server.sockets


@ALL
def test_what_is_no_progress_is_refused(server: FakeServer, embed: Embed) -> None:
    with pytest.raises(LMStudioValueError, match="progress is True or a function"):
        embed(server, ["1"], progress="yes")
