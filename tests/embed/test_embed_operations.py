"""Texts to requests and answers to vectors, played by hand: no driver, no server."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.models.operations import specifier_of
from lmstudio_core.observe.observations import EmbeddingObservation
from lmstudio_core.protocol.operations import Call
from lmstudio_embed import Chunking, TextTooLongError, chunking, jobs
from lmstudio_embed import operations as ops
from lmstudio_embed.fold import ContextLimit, EmbeddingFold
from lmstudio_embed.jobs import one_call
from lmstudio_embed.options import EmbedOptions, embed_options

DEFAULTS: dict[str, Any] = {
    "max_in_flight": 4,
    "on_error": "raise",
    "chunk": False,
    "normalize": False,
    "as_array": False,
}


def options(**changed: Any) -> EmbedOptions:
    return embed_options(**{**DEFAULTS, **changed})


class WordServer:
    """Every word is a token, and a vector holds the number of words and the first one's length."""

    def __init__(self, context_length: int | None = 100) -> None:
        self.context_length = context_length
        self.asked: list[tuple[str, str]] = []

    def __call__(self, call: Call[Any]) -> Any:
        name = call.endpoint.name
        text = call.parameter.get("inputString", "")
        self.asked.append((name, text))
        if name == "getModelInfo":
            return SimpleNamespace(context_length=self.context_length)
        words = text.split()
        if name == "countTokens":
            return len(words)
        if text.startswith("bad"):
            return LMStudioServerError(f"cannot embed {words[0]}")
        return [float(len(words)), float(len(words[0]) if words else 0)]

    def texts(self, name: str = "embedString") -> list[str]:
        return [text for asked, text in self.asked if asked == name]


def play(
    texts: Iterable[str],
    server: Callable[[Call[Any]], Any],
    limit: ContextLimit | None = None,
    **changed: Any,
) -> list[Any]:
    """What a driver does: keep some requests in flight, feed answers in order."""
    chosen = options(**changed)
    fold = EmbeddingFold("m", texts, chosen, limit or ContextLimit())
    flying: list[Call[Any]] = []
    found: list[Any] = []
    while True:
        while len(flying) < chosen.max_in_flight and (call := next(fold, None)) is not None:
            flying.append(call)
        if not flying:
            return found
        fold.feed(server(flying.pop(0)))
        while (slot := fold.take()) is not None:
            found.append(slot.result)


def words(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{n}" for n in range(count))


def test_a_short_text_is_one_request() -> None:
    server = WordServer()
    assert play(["Hello"], server) == [[1.0, 5.0]]
    assert server.asked == [("embedString", "Hello")]


def test_what_goes_out_and_comes_back() -> None:
    call = ops.embed_text(specifier_of("minilm"), "Hello")
    assert str(call.endpoint) == "embedding.embedString"
    assert call.parameter == {
        "modelSpecifier": {"type": "query", "query": {"identifier": "minilm"}},
        "inputString": "Hello",
    }
    assert call.decode({"embedding": [1, 2.5]}) == [1, 2.5]


@pytest.mark.parametrize("answer", [{}, None, [], {"embedding": None}])
def test_an_answer_without_a_vector_is_a_server_error(answer: Any) -> None:
    with pytest.raises(LMStudioServerError, match="no vector"):
        ops.vector(answer)


def test_no_more_is_taken_than_may_fly() -> None:
    fold = EmbeddingFold("m", (f"t{n}" for n in range(100)), options(), ContextLimit())
    taken = [next(fold, None) for _ in range(20)]
    assert sum(call is not None for call in taken) == 8  # results not taken bound it too


# -- too long --------------------------------------------------------------------------------------


def test_a_text_that_is_too_long_is_an_error_with_counts() -> None:
    short, error, after = play(["a b", words(150), "c"], WordServer())
    assert (short, after) == ([2.0, 1.0], [1.0, 1.0])
    assert isinstance(error, TextTooLongError)
    assert isinstance(error, (LMStudioServerError, LMStudioValueError))
    assert (error.position, error.tokens, error.context_length) == (1, 150, 100)
    assert "150 tokens, and 'm' takes 100" in str(error)
    assert "chunk=True" in str(error)


def test_a_text_that_fits_is_counted_only_if_it_could_be_too_long() -> None:
    server = WordServer(context_length=300)
    limit = ContextLimit()
    texts = [words(40), words(60, "longer"), words(20)]
    assert [vector[0] for vector in play(texts, server, limit, max_in_flight=1)] == [40, 60, 20]
    assert limit.tokens == 300
    # The first is counted, as nothing is known yet; the last has fewer bytes than 300.
    assert server.texts("countTokens") == texts[:2]
    assert len(server.texts("getModelInfo")) == 1
    again = WordServer(context_length=300)
    play([words(20)], again, limit)
    assert [name for name, _ in again.asked] == ["embedString"]


def test_the_limit_is_asked_anew_in_each_call_with_a_long_text() -> None:
    limit = ContextLimit()
    limit.tokens = 50  # before the model was reloaded
    (vector,) = play([words(80)], WordServer(context_length=100), limit)
    assert vector == [80.0, 5.0]


def test_bytes_count_and_not_characters() -> None:
    limit = ContextLimit()
    limit.tokens = 100
    server = WordServer()
    play(["ж" * 80], server, limit)
    assert server.texts("countTokens") == ["ж" * 80]
    server = WordServer()
    play(["z" * 80], server, limit)
    assert server.texts("countTokens") == []


@pytest.mark.parametrize("info", [None, 0])
def test_a_server_that_does_not_tell_its_limit_decides_itself(info: Any) -> None:
    assert play([words(150)], WordServer(context_length=info)) == [[150.0, 5.0]]
    assert play([words(150)], WordServer(context_length=info), chunk=True) == [[150.0, 5.0]]


def test_counting_that_fails_does_not_fail_the_text() -> None:
    server = WordServer()

    def no_counts(call: Call[Any]) -> Any:
        answer = server(call)
        return answer if call.endpoint.name == "embedString" else LMStudioServerError("unknown")

    assert play([words(150)], no_counts) == [[150.0, 5.0]]


# -- in parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [True, 100, 40, Chunking(size=30, overlap=0), Chunking()])
@pytest.mark.parametrize("count", [101, 150, 1000])
def test_parts_fit_cover_the_text_and_overlap(chunk: Any, count: int) -> None:
    server = WordServer()
    text = words(count)
    (vector,) = play([text], server, chunk=chunk)
    chunking = chunk if isinstance(chunk, Chunking) else Chunking()
    size = chunking.size or (chunk if chunk is not True and isinstance(chunk, int) else 100)
    overlap = chunking.overlap_of(size)
    # Those that came out too large were cut again, and their vectors dropped.
    parts = [part for part in server.texts() if len(part.split()) <= size]
    numbers = [[int(word.removeprefix("word")) for word in part.split()] for part in parts]
    assert sorted({n for part in numbers for n in part}) == list(range(count))
    numbers.sort()
    for one, following in itertools.pairwise(numbers):
        shared = len(set(one) & set(following))
        assert 0.6 * overlap <= shared <= 2 * overlap + 1
    assert len(vector) == 2
    assert len(parts) <= 2 * count / (size - overlap) + 2


def test_texts_that_fit_stay_whole() -> None:
    server = WordServer()
    assert play([words(100)], server, chunk=True) == [[100.0, 5.0]]
    assert server.texts() == [words(100)]


def test_dense_places_are_cut_again() -> None:
    """A token of this text is long on average, but not in its second half."""
    text = " ".join(["extraordinarily"] * 60 + ["a"] * 400)
    server = WordServer()
    play([text], server, chunk=True)
    fitting = [part for part in server.texts() if len(part.split()) <= 100]
    assert any(len(part.split()) > 100 for part in server.texts())
    assert sum(part.count("extraordinarily") for part in fitting) >= 60
    assert sum(part.split().count("a") for part in fitting) >= 400


def test_text_without_spaces_is_cut_anywhere() -> None:
    class CharacterServer(WordServer):
        def __call__(self, call: Call[Any]) -> Any:
            if call.endpoint.name == "countTokens":
                return len(call.parameter["inputString"])
            return super().__call__(call)

    server = CharacterServer()
    play(["字" * 950], server, chunk=Chunking(overlap=0))
    assert all(len(part) <= 100 for part in server.texts())
    assert "".join(server.texts()) == "字" * 950


def test_long_and_short_texts_keep_their_order() -> None:
    texts = [words(250), "a", words(150, "longer"), "b c", *"defgh"]
    found = play(texts, WordServer(), chunk=True, max_in_flight=3)
    assert len(found) == len(texts)
    assert [found[1], found[3], found[-1]] == [[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("pool", "expected"),
    [("mean", [3.0, 4.0]), ("max", [3.0, 4.0]), ("first", [3.0, 4.0])],
)
def test_equal_parts_pool_to_what_they_are(pool: Any, expected: list[float]) -> None:
    server = WordServer()

    def same(call: Call[Any]) -> Any:
        answer = server(call)
        return [3.0, 4.0] if call.endpoint.name == "embedString" else answer

    assert play([words(300)], same, chunk=Chunking(pool=pool)) == [pytest.approx(expected)]
    if pool == "first":
        (part,) = server.texts()
        assert part.startswith("word0 ")


def test_a_mean_weighs_by_tokens_and_keeps_the_length() -> None:
    from lmstudio_embed.chunking import pooled

    assert pooled([[1.0, 0.0], [0.0, 1.0]], [3, 1], "mean") == pytest.approx(
        [3 / 10**0.5, 1 / 10**0.5]
    )
    # Of other lengths than 1, the mean is as long as the parts are on average, by tokens as well.
    long = pooled([[3.0, 0.0], [0.0, 4.0]], [3, 1], "mean")
    assert long == pytest.approx([2.25 * 3.25 / 6.0625**0.5, 3.25 / 6.0625**0.5])
    assert math.hypot(*pooled([[6.0, 0.0], [0.0, 2.0]], [1, 3], "mean")) == pytest.approx(3.0)
    assert pooled([[2.0, 4.0], [2.0, 4.0]], [5, 1], "mean") == pytest.approx([2.0, 4.0])
    assert pooled([[1.0, -2.0], [0.0, 5.0]], [1, 1], "max") == [1.0, 5.0]
    assert pooled([[1.0, 0.0], [-1.0, 0.0]], [1, 1], "mean") == [0.0, 0.0]


def test_a_part_that_fails_fails_its_text_alone() -> None:
    text = "bad" + words(200)
    error, fine = play([text, "fine"], WordServer(), chunk=True)
    assert isinstance(error, LMStudioServerError)
    assert fine == [1.0, 4.0]


def test_parts_larger_than_the_context_are_refused() -> None:
    with pytest.raises(LMStudioValueError, match="takes 100"):
        play([words(300)], WordServer(), chunk=200)


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_in_flight": True}, "max_in_flight"),
        ({"max_in_flight": 1.5}, "max_in_flight"),
        ({"on_error": "ignore"}, "'raise', 'skip', 'return'"),
        ({"chunk": 3}, "at least 8"),
        ({"chunk": "yes"}, "chunk is True"),
    ],
)
def test_wrong_options_are_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(LMStudioValueError, match=said):
        options(**changed)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"overlap": -1}, "overlap"),
        ({"size": 100, "overlap": 60}, "more than half"),
        ({"pool": "median"}, "'mean', 'max', 'first'"),
    ],
)
def test_wrong_chunkings_are_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(LMStudioValueError, match=said):
        Chunking(**fields)


@pytest.mark.parametrize("wrong", [None, 7, b"bytes"])
def test_what_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(LMStudioValueError, match="string"):
        play([wrong], WordServer())


def test_the_first_part_and_a_single_one_are_taken_as_they_are() -> None:
    assert chunking.pooled([[1.0, 2.0], [30.0, 4.0]], [1, 9], "first") == [1.0, 2.0]
    assert chunking.pooled([[1.1, 2.3]], [3], "mean") == [1.1, 2.3]


def test_a_unit_vector() -> None:
    assert chunking.unit([3.0, 4.0]) == pytest.approx([0.6, 0.8])
    assert chunking.unit([0.0, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("tokens", "size", "overlap", "count"),
    [
        (11, 10, 0, 2),  # never one part alone
        (100, 10, 4, 20),  # 9 of 10 tokens are used, 4 of them for the second time
        (10, 2, 1, 9),  # however small the parts, each has a token that is new
    ],
)
def test_how_many_parts_there_are_at_first(
    tokens: int, size: int, overlap: int, count: int
) -> None:
    text = "word " * tokens
    parts = chunking.first_cut(text, tokens, size, overlap)
    assert len(parts) == count
    assert [part.begin for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert (parts[0].start, parts[0].begin, parts[-1].end) == (0, 0, len(text))


def test_no_part_is_empty_however_many_are_asked_for() -> None:
    parts = chunking.cut("abc", 0, 3, 7, 0)
    assert [(part.begin, part.end) for part in parts] == [(0, 1), (1, 2), (2, 3)]


def test_an_overlap_that_reaches_the_beginning_takes_all_of_it() -> None:
    assert [part.start for part in chunking.cut("abcdefghij", 0, 10, 2, 3)] == [0, 0]
    assert [part.start for part in chunking.cut("abcdefghij", 0, 10, 2, 1)] == [0, 4]


USUAL: dict[str, Any] = {
    "as_array": False,
    "normalize": False,
    "chunk": False,
    "progress": False,
    "max_in_flight": 64,
    "on_error": "raise",
}


def test_one_text_is_one_call_where_nothing_else_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown, known = ContextLimit(), ContextLimit()
    known.tokens = 300
    call = one_call("m", unknown, "Hello", **USUAL)
    assert call is not None
    assert call.parameter == {
        "modelSpecifier": {"type": "query", "query": {"identifier": "m"}},
        "inputString": "Hello",
    }
    assert one_call("m", known, "x" * 200, **USUAL) is not None
    for limit, text in ((unknown, "x" * 65), (known, "é" * 150)):  # it may be too long
        assert one_call("m", limit, text, **USUAL) is None
    others: dict[str, Any] = {
        "as_array": True,
        "normalize": True,
        "chunk": True,
        "progress": True,
        "max_in_flight": 0,
        "on_error": "skip",
    }
    for name, value in others.items():
        assert one_call("m", unknown, "Hello", **{**USUAL, name: value}) is None
    monkeypatch.setattr(jobs, "is_observed", lambda cls: cls is EmbeddingObservation)
    assert one_call("m", unknown, "Hello", **USUAL) is None
