"""numpy arrays, similarity and search; and what happens where numpy is not installed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioRuntimeError, LMStudioServerError, LMStudioValueError
from lmstudio_embed import AsyncEmbeddingModel, EmbeddingModel, search, similarity
from lmstudio_embed.arrays import Rows, normalized
from lmstudio_embed.chunking import unit
from lmstudio_testing import FakeServer, ServerFailure

np = pytest.importorskip("numpy", reason="arrays need numpy (lmstudio-embed[numpy])")


def reply(parameter: dict[str, Any]) -> Any:
    text = parameter["inputString"]
    if text.startswith("bad"):
        raise ServerFailure(f"cannot embed {text!r}")
    return {"embedding": [float(text), 4.0]}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.on("embedding.embedString", reply)
        yield server


def embed_sync(server: FakeServer, texts: Any, **options: Any) -> Any:
    with Client(server.api_host) as client:
        return EmbeddingModel("m", client).embed(texts, as_array=True, **options)


def embed_async(server: FakeServer, texts: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.api_host) as client:
            return await AsyncEmbeddingModel("m", client).embed(texts, as_array=True, **options)

    return asyncio.run(main())


def collect_sync(server: FakeServer, texts: Any, **options: Any) -> Any:
    with Client(server.api_host) as client:
        return EmbeddingModel("m", client).embed_stream(texts, as_array=True, **options).collect()


def collect_async(server: FakeServer, texts: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.api_host) as client:
            model = AsyncEmbeddingModel("m", client)
            return await model.embed_stream(texts, as_array=True, **options).collect()

    return asyncio.run(main())


Embed = Callable[..., Any]
WHOLE = pytest.mark.parametrize("embed", [embed_sync, embed_async])
ALL = pytest.mark.parametrize("embed", [embed_sync, embed_async, collect_sync, collect_async])


@ALL
def test_several_texts_are_one_float32_matrix(server: FakeServer, embed: Embed) -> None:
    matrix = embed(server, (str(n) for n in range(600)), max_in_flight=16)
    assert (matrix.shape, matrix.dtype) == ((600, 2), np.float32)
    assert matrix[:, 0].tolist() == list(range(600))
    assert matrix.flags.c_contiguous


@WHOLE
def test_one_text_is_one_vector(server: FakeServer, embed: Embed) -> None:
    vector = embed(server, "3")
    assert (vector.shape, vector.dtype) == ((2,), np.float32)
    assert vector.tolist() == [3.0, 4.0]


@ALL
def test_no_texts_are_an_empty_matrix(server: FakeServer, embed: Embed) -> None:
    assert embed(server, []).shape == (0, 0)
    assert not server.sockets


@ALL
def test_skipped_texts_have_no_row(server: FakeServer, embed: Embed) -> None:
    assert embed(server, ["1", "bad", "3"], on_error="skip").tolist() == [[1.0, 4.0], [3.0, 4.0]]


@WHOLE
def test_errors_have_no_place_in_an_array(server: FakeServer, embed: Embed) -> None:
    with pytest.raises(LMStudioValueError, match="no place for errors"):
        embed(server, ["1"], on_error="return")
    assert not server.sockets


@ALL
def test_normalized_rows_have_length_one(server: FakeServer, embed: Embed) -> None:
    matrix = embed(server, ["3", "0"], normalize=True)
    assert matrix.tolist() == [pytest.approx([0.6, 0.8]), pytest.approx([0.0, 1.0])]
    assert matrix.dtype == np.float32


def test_normalizing_works_without_arrays_and_in_streams(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        model = EmbeddingModel("m", client)
        assert model.embed("3", normalize=True) == pytest.approx([0.6, 0.8])
        (row,) = model.embed_stream(["3"], normalize=True, as_array=True)
        assert row.tolist() == pytest.approx([0.6, 0.8])
        assert row.dtype == np.float32


def test_a_stream_of_arrays_can_hold_errors(server: FakeServer) -> None:
    with Client(server.api_host) as client:
        stream = EmbeddingModel("m", client).embed_stream(
            ["1", "bad"], as_array=True, on_error="return"
        )
        row, error = stream
        assert isinstance(row, np.ndarray)
        assert isinstance(error, LMStudioServerError)


def test_an_array_takes_the_memory_of_its_numbers(server: FakeServer) -> None:
    count, dimensions = 1500, 256
    numbers = [1 / (n + 3) for n in range(dimensions)]
    server.on("embedding.embedString", lambda _: {"embedding": numbers})
    texts = [str(n) for n in range(count)]
    with Client(server.api_host) as client:
        model = EmbeddingModel("m", client)
        model.embed(texts[:100], as_array=True)
        tracemalloc.start()
        try:
            matrix = model.embed(texts, as_array=True)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert matrix.nbytes == count * dimensions * 4
    # The scripted server in this process remembers every request, some 2 kB each.
    assert kept < matrix.nbytes + count * 4000


def test_rows_grow_without_losing_any() -> None:
    rows = Rows(None)
    for n in range(1000):
        rows.add([n, n + 0.5])
    matrix = rows.finish()
    assert matrix.shape == (1000, 2)
    assert matrix[:, 0].tolist() == list(range(1000))


def test_vectors_of_different_lengths_are_an_error() -> None:
    rows = Rows(2)
    rows.add([1.0, 2.0])
    with pytest.raises(LMStudioServerError, match="3 after 2"):
        rows.add([1.0, 2.0, 3.0])


def test_zeros_stay_zeros() -> None:
    assert normalized(np.zeros((2, 3), np.float32)).tolist() == [[0.0] * 3] * 2


# -- similarity and search -------------------------------------------------------------------------


def test_similarity_is_the_cosine() -> None:
    assert similarity([1, 0], [2, 2]) == pytest.approx(0.5**0.5)
    assert similarity([1, 0], [-3, 0]) == pytest.approx(-1)
    assert similarity([0, 0], [1, 0]) == 0
    matrix = similarity([[1, 0], [0, 1]], [[1, 0], [1, 1], [0, -1]])
    assert matrix.shape == (2, 3)
    assert matrix == pytest.approx(np.array([[1, 0.5**0.5, 0], [0, 0.5**0.5, -1]]), abs=1e-6)
    assert similarity([1, 0], [[1, 0], [0, 1]]).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("rows", [1, 9, 50, 40_000])
def test_search_finds_what_sorting_everything_finds(rows: int) -> None:
    numbers = np.random.default_rng(rows)
    vectors = numbers.normal(size=(rows, 8)).astype(np.float32)
    query = numbers.normal(size=8)
    scores = similarity(query, vectors)
    found = search(query, vectors, k=10)
    assert [match.position for match in found] == np.argsort(-scores)[:10].tolist()
    assert [match.score for match in found] == pytest.approx(np.sort(scores)[::-1][:10], abs=1e-5)


def test_search_takes_lists_and_several_queries() -> None:
    vectors = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    first, second = search([[1.0, 0.1], [0.1, 1.0]], vectors, k=1)
    assert [(m.position) for m in (*first, *second)] == [0, 1]
    position, score = search([1.0, 0.0], vectors, k=1)[0]
    assert (position, score) == (0, pytest.approx(1.0))


def test_search_never_finds_what_is_not_a_number() -> None:
    vectors = np.array([[np.nan, np.nan], [0, 1], [1, 0]], np.float32)
    assert [match.position for match in search([1, 0], vectors)] == [2, 1]
    assert search([1, 0], np.empty((0, 2))) == []
    assert search([[1, 0]], np.empty((0, 2))) == [[]]


def test_of_equals_the_first_is_found_first() -> None:
    vectors = np.ones((40_000, 2), np.float32)
    assert [match.position for match in search([1, 1], vectors, k=3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 2, 3], [[1, 2]]), "of 3 and of 2 numbers"),
        (([1, 2], [1, 2]), "one vector a row"),
        (([1, 2], [[1, 2]], 0), "k is a positive"),
        (([1, 2], [[1, 2]], True), "k is a positive"),
        ((["a"], [[1]]), "not made of vectors"),
        (([[1, 2], [3]], [[1, 2]]), "not made of vectors"),
        (([[[1]]], [[1]]), "3-dimensional"),
    ],
)
def test_wrong_searches_are_named(arguments: Any, said: str) -> None:
    with pytest.raises(LMStudioValueError, match=said):
        search(*arguments)


# -- without numpy ---------------------------------------------------------------------------------


def test_without_numpy_the_error_says_what_to_install(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(LMStudioRuntimeError, match=r"lmstudio-embed\[numpy\]"):
        similarity([1], [1])
    with Client(server.api_host) as client:
        model = EmbeddingModel("m", client)
        with pytest.raises(LMStudioRuntimeError, match=r"lmstudio-embed\[numpy\]"):
            model.embed(["1"], as_array=True)
        assert not server.sockets
        assert model.embed(["1"], normalize=True) == [pytest.approx([0.2425, 0.9701], abs=1e-4)]


def test_numpy_is_imported_only_when_used() -> None:
    code = (
        "import sys, lmstudio_embed\n"
        "lmstudio_embed.EmbeddingModel, lmstudio_embed.search, lmstudio_embed.EmbeddingStream\n"
        "print([m for m in ('numpy', 'tqdm', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("factor", [1e-300, 1e-40, 1e-20, 1.0, 1e20, 1e37, 1e39, 1e300])
@pytest.mark.parametrize("made", [list, np.float64, np.float32])
def test_the_size_of_numbers_changes_no_similarity(factor: float, made: Any) -> None:
    if made is np.float32 and not 1e-30 < factor < 1e38:
        pytest.skip("float32 does not hold it")
    rows = [[3.0 * factor, 4.0 * factor], [-4.0 * factor, 3.0 * factor], [0.0, 0.0]]
    vectors = rows if made is list else np.array(rows, dtype=made)
    assert similarity(vectors[0], [0.6, 0.8]) == pytest.approx(1.0)
    assert similarity([3, 4], vectors) == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert similarity(vectors, vectors).dtype == np.float32
    found = search([3.0, 4.0], vectors, k=3)
    assert [match.position for match in found] == [0, 1, 2]
    assert [match.score for match in found] == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)


def test_numbers_of_all_sizes_in_one_vector() -> None:
    assert similarity([1e300, 1e-300], [1.0, 0.0]) == pytest.approx(1.0)
    assert similarity([1e300, 1e300], [1e-300, -1e-300]) == pytest.approx(0.0)
    whole = np.array([[3e30, 4e30]], dtype=np.float32)
    assert normalized(whole) == pytest.approx(np.array([[0.6, 0.8]]))
    assert unit([3e200, 4e200]) == pytest.approx([0.6, 0.8])


def test_rows_that_are_not_finite_are_never_found() -> None:
    rows = [[float("inf"), 1.0], [float("nan"), 1.0], [1.0, 1.0]]
    assert [match.position for match in search([1.0, 1.0], rows)] == [2]
    with pytest.raises(LMStudioValueError, match="vectors"):
        search([1.0], [[10**400]])
