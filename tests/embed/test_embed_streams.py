"""Many texts over a real connection to a scripted server: order, pipelining, failures, memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from unloaded_models import unloaded_at

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import (
    LMStudioModelNotFoundError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_embed import AsyncEmbeddingModel, EmbeddingModel, TextTooLongError
from lmstudio_testing.fake_server import FakeServer
from lmstudio_testing.fake_socket import NO_ANSWER, ServerFailure


def reply(parameter: dict[str, Any]) -> Any:
    text = parameter["inputString"]
    if text.startswith("bad"):
        raise ServerFailure(f"cannot embed {text!r}")
    return {"embedding": [float(text), 0.5]}


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
WHOLE = pytest.mark.parametrize("embed", [embed_sync, embed_async])
STREAMS = pytest.mark.parametrize("embed", [stream_sync, stream_async])


@WHOLE
def test_one_text(server: FakeServer, embed: Embed) -> None:
    assert embed(server, "7") == [7.0, 0.5]


@ALL
@pytest.mark.parametrize("max_in_flight", [1, 3, 64])
def test_vectors_come_in_the_order_of_the_texts(
    server: FakeServer, embed: Embed, max_in_flight: int
) -> None:
    vectors = embed(server, (str(n) for n in range(50)), max_in_flight=max_in_flight)
    assert vectors == [[float(n), 0.5] for n in range(50)]
    assert len(server.sockets) == 1


@ALL
def test_no_texts_give_no_vectors_and_need_no_connection(server: FakeServer, embed: Embed) -> None:
    assert embed(server, []) == []
    assert not server.sockets


@ALL
def test_a_failing_text_raises_its_error(server: FakeServer, embed: Embed) -> None:
    with pytest.raises(LMStudioServerError, match="cannot embed 'bad'"):
        embed(server, ["1", "bad", "3"])


@pytest.mark.parametrize("embed", [embed_sync, embed_async])
@pytest.mark.parametrize("as_array", [False, True])
def test_what_was_done_before_an_error_is_kept(
    server: FakeServer, embed: Embed, as_array: bool
) -> None:
    with pytest.raises(LMStudioServerError, match="cannot embed 'bad'") as caught:
        embed(server, ["1", "2", "bad", "4"], as_array=as_array)
    assert [list(vector) for vector in caught.value.partial] == [[1.0, 0.5], [2.0, 0.5]]


@ALL
def test_a_failing_text_can_be_skipped(server: FakeServer, embed: Embed) -> None:
    assert embed(server, ["1", "bad", "3"], on_error="skip") == [[1.0, 0.5], [3.0, 0.5]]


@ALL
@pytest.mark.parametrize("on_error", ["skip", "return"])
def test_a_model_that_is_gone_is_the_failure_of_no_text(
    server: FakeServer, embed: Embed, on_error: str
) -> None:
    server.on("embedding.embedString", unloaded_at("3", reply))
    with pytest.raises(LMStudioModelNotFoundError, match="It was unloaded"):
        embed(server, ["1", "bad", "3", "4"], on_error=on_error)


@ALL
def test_errors_can_take_their_texts_places(server: FakeServer, embed: Embed) -> None:
    one, error, three = embed(server, ["1", "bad", "3"], on_error="return")
    assert (one, three) == ([1.0, 0.5], [3.0, 0.5])
    assert isinstance(error, LMStudioServerError)


@ALL
@pytest.mark.parametrize("options", [{"on_error": "ignore"}, {"max_in_flight": 0}])
def test_wrong_options_are_refused(
    server: FakeServer, embed: Embed, options: dict[str, Any]
) -> None:
    with pytest.raises(LMStudioValueError, match=next(iter(options))):
        embed(server, ["1"], **options)
    assert not server.sockets


@WHOLE
def test_a_list_is_checked_before_anything_is_sent(server: FakeServer, embed: Embed) -> None:
    with pytest.raises(LMStudioValueError):
        embed(server, ["1", None])
    assert not server.sockets


@STREAMS
@pytest.mark.parametrize("wrong", ["one text", b"1", None, {"1": 2}])
def test_a_stream_takes_an_iterable_of_strings(
    server: FakeServer, embed: Embed, wrong: Any
) -> None:
    with pytest.raises(LMStudioValueError):
        embed(server, wrong)


@STREAMS
def test_a_stream_ends_at_what_is_no_text(server: FakeServer, embed: Embed) -> None:
    with pytest.raises(LMStudioValueError, match="NoneType"):
        embed(server, ["1", None], max_in_flight=1)


def test_vectors_come_before_all_texts_are_known(server: FakeServer) -> None:
    asked: list[int] = []

    def texts() -> Iterator[str]:
        for n in range(1000):
            asked.append(n)
            yield str(n)

    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(texts(), max_in_flight=8)
        for n, vector in zip(range(20), stream, strict=False):
            assert vector[0] == n
            assert len(asked) <= n + 9  # no text is taken before there is room for it
        assert EmbeddingModel("m", client).embed("5") == [5.0, 0.5]  # others may use the socket


def test_what_was_skipped_is_known(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(
            ["bad 0", "1", "bad 2"], on_error="skip", max_in_flight=2
        )
        assert list(stream) == [[1.0, 0.5]]
        assert [(n, error.server_error.title) for n, error in stream.failed] == [
            (0, "cannot embed 'bad 0'"),
            (2, "cannot embed 'bad 2'"),
        ]


def test_what_came_before_a_failure_was_handed_over(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(["1", "2", "bad", "4"])
        assert [next(stream), next(stream)] == [[1.0, 0.5], [2.0, 0.5]]
        with pytest.raises(LMStudioServerError):
            next(stream)
        assert list(stream) == []


def test_texts_are_in_flight_together(server: FakeServer) -> None:
    server.on("embedding.embedString", NO_ANSWER)

    async def main() -> None:
        async with AsyncClient(server.api_host) as client:
            task = asyncio.ensure_future(AsyncEmbeddingModel("m", client).embed(["1"] * 20))
            await asyncio.to_thread(server.wait_for_request, "embedding.embedString", 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


@ALL
def test_limits_of_time_hold(server: FakeServer, embed: Embed) -> None:
    server.on("embedding.embedString", NO_ANSWER)
    with pytest.raises(LMStudioTimeoutError, match=r"embedding\.embedString"):
        embed(server, ["1", "2"], idle_timeout=0.05)


@WHOLE
def test_one_text_fails_with_its_error_whatever_on_error_says(
    server: FakeServer, embed: Embed
) -> None:
    with pytest.raises(LMStudioServerError, match="cannot embed 'bad'"):
        embed(server, "bad", on_error="skip")
    with pytest.raises(LMStudioValueError, match="on_error"):
        embed(server, "1", on_error="ignore")


@WHOLE
def test_a_long_text_is_embedded_in_parts(server: FakeServer, embed: Embed) -> None:
    server.on("embedding.getModelInfo", {"identifier": "m", "contextLength": 20})
    server.on("embedding.countTokens", lambda p: {"tokenCount": len(p["inputString"].split())})
    server.on("embedding.embedString", lambda p: {"embedding": [3.0, 4.0]})
    text = "word " * 100
    with pytest.raises(TextTooLongError, match="100 tokens, and 'm' takes 20"):
        embed(server, text)
    assert embed(server, text, chunk=True, max_in_flight=1) == pytest.approx([3.0, 4.0])
    embedded = [r for r in server.requests if r.endpoint == "embedding.embedString"]
    parts = [request.parameter["inputString"] for request in embedded]
    assert [len(part.split()) <= 20 for part in parts].count(True) >= 5


def test_a_stream_closes_at_the_end_of_its_block(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        model = EmbeddingModel("m", client)
        with model.embed_stream(str(n) for n in range(1000)) as stream:
            assert next(stream) == [0.0, 0.5]
        assert list(stream) == []
        assert model.embed("5") == [5.0, 0.5]

    async def main() -> None:
        async with AsyncClient(server.api_host) as client:
            model = AsyncEmbeddingModel("m", client)
            async with model.embed_stream(str(n) for n in range(1000)) as stream:
                assert await stream.__anext__() == [0.0, 0.5]
            assert [vector async for vector in stream] == []
            assert await model.embed("5") == [5.0, 0.5]

    asyncio.run(main())


@ALL
def test_what_the_texts_raise_comes_out(server: FakeServer, embed: Embed) -> None:
    def texts() -> Iterator[str]:
        yield "1"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        embed(server, texts())


async def numbers(count: int) -> AsyncIterator[str]:
    for number in range(count):
        yield str(number)


def test_an_async_iterable_is_sent_as_it_comes(server: FakeServer) -> None:
    async def main() -> None:
        async with AsyncClient(server.api_host) as client:
            model = AsyncEmbeddingModel("m", client)
            stream = model.embed_stream(numbers(200), max_in_flight=8)
            assert [vector[0] async for vector in stream] == list(range(200))
            assert await model.embed_stream(numbers(0)).collect() == []
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_results_do_not_wait_for_texts_that_are_still_to_come(server: FakeServer) -> None:
    async def main() -> None:
        more: asyncio.Queue[str | None] = asyncio.Queue()

        async def queued() -> AsyncIterator[str]:
            while (text := await more.get()) is not None:
                yield text

        async with AsyncClient(server.api_host) as client:
            stream = AsyncEmbeddingModel("m", client).embed_stream(queued())
            for number in (1, 2, 3):
                more.put_nowait(str(number))
                assert (await anext(stream))[0] == number
            more.put_nowait(None)
            assert [vector async for vector in stream] == []

    asyncio.run(main())


def test_an_async_iterable_that_fails_or_is_left(server: FakeServer) -> None:
    async def failing() -> AsyncIterator[str]:
        yield "1"
        raise KeyError("oops")

    async def endless() -> AsyncIterator[str]:
        yield "1"
        await asyncio.Event().wait()

    async def main() -> None:
        async with AsyncClient(server.api_host) as client:
            model = AsyncEmbeddingModel("m", client)
            with pytest.raises(KeyError, match="oops"):
                await model.embed_stream(failing()).collect()
            async with model.embed_stream(endless()) as stream:
                assert await anext(stream) == [1.0, 0.5]
            with pytest.raises(LMStudioValueError):
                await model.embed_stream(numbers_of_another_kind()).collect()
            assert len(asyncio.all_tasks()) == 1

    async def numbers_of_another_kind() -> AsyncIterator[Any]:
        yield 1

    asyncio.run(main())


def failing(count: int, error: BaseException | None = None) -> Iterator[str]:
    for number in range(count):
        yield str(number)
    raise error or OSError("the disk is gone")


async def failing_async(count: int) -> AsyncIterator[str]:
    for text in failing(count):
        yield text


@pytest.mark.parametrize("count", [0, 1, 40])
@pytest.mark.parametrize("chunk", [False, True])
def test_what_precedes_a_source_that_raises_is_yielded(
    server: FakeServer, count: int, chunk: bool
) -> None:
    got: list[Any] = []
    raised: list[str] = []

    async def caught(stream: Any) -> AsyncIterator[Any]:
        try:
            async for vector in stream:
                yield vector
        except OSError as error:
            raised.append(str(error))

    async def main(source: Any) -> None:
        async with AsyncClient(server.api_host) as client:
            stream = AsyncEmbeddingModel("m", client).embed_stream(source, chunk=chunk)
            got.extend([vector async for vector in caught(stream)])

    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(failing(count), chunk=chunk)
        with pytest.raises(OSError, match="the disk is gone"):
            got += stream
    for source in (failing(count), failing_async(count)):
        asyncio.run(main(source))
    assert got == [[float(number), 0.5] for number in range(count)] * 3
    assert raised == ["the disk is gone"] * 2


def test_what_precedes_what_is_no_text_is_yielded(server: FakeServer) -> None:
    got: list[Any] = []
    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(iter(["0", "1", None]))  # type: ignore[list-item]
        with pytest.raises(LMStudioValueError, match="NoneType"):
            got += stream
        assert got == [[0.0, 0.5], [1.0, 0.5]]
        assert list(stream) == []
        stream = EmbeddingModel("m", client).embed_stream(failing(3))
        with pytest.raises(OSError, match="disk") as caught:
            stream.collect()
        partial: Any = caught.value
        assert partial.partial == [[0.0, 0.5], [1.0, 0.5], [2.0, 0.5]]


def test_ctrl_c_in_a_source_ends_at_once(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(failing(3, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            next(stream)


class DataFrame:
    """As pandas' and polars': iterating over one gives the names of its columns."""

    shape = (2, 1)

    def __init__(self, names: Any) -> None:
        self.columns = names

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)


class Table(DataFrame):
    """As pyarrow's: its columns are arrays."""

    column_names = ("title", "body")


@ALL
@pytest.mark.parametrize(
    ("table", "column"),
    [(DataFrame(["title"]), "title"), (DataFrame([0]), "text"), (Table([object()]), "title")],
)
def test_a_table_is_no_collection_of_texts(
    server: FakeServer, embed: Embed, table: Any, column: str
) -> None:
    with pytest.raises(LMStudioValueError, match=rf'df\["{column}"\]'):
        embed(server, table)
    assert not server.requests


@ALL
def test_arrays_of_pyarrow_are_texts(server: FakeServer, embed: Embed) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    array = pyarrow.array(["1", "2"])
    for texts in (array, pyarrow.chunked_array([array]), [pyarrow.scalar("1"), "2"]):
        assert embed(server, texts) == [[1.0, 0.5], [2.0, 0.5]]
    with pytest.raises(LMStudioValueError, match="NoneType"):
        embed(server, pyarrow.array([None, "1"]))
