"""``partials()``: values that grow while the output is written, sync and async."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from typing_extensions import TypedDict

try:
    import attrs
except ImportError:
    attrs = None  # type: ignore[assignment]
try:
    import msgspec
except ImportError:
    msgspec = None  # type: ignore[assignment]

from lmstudio_core.errors import LMStudioValueError
from lmstudio_llm.fragments import LlmPredictionFragment
from lmstudio_llm.partial_values import NOTHING, begun_data
from lmstudio_llm.partials import AsyncPartials, Growing, Partials
from lmstudio_llm.schemas import resolve_format


class Mood(enum.Enum):
    GOOD = "good"


class Author(pydantic.BaseModel):
    name: str
    born: dt.date | None = None


class Book(pydantic.BaseModel):
    title: str
    year: int = 1900
    mood: Mood | None = None
    kind: Literal["novel", "novella"] = "novel"
    author: Author | None = None
    tags: list[str] = []
    scores: dict[str, float] = {}
    sequels: list[Book] = []


@dataclass
class DataBook:
    title: str
    year: int


class DictBook(TypedDict):
    title: str
    year: int


BOOK: dict[str, Any] = {
    "title": 'Dune "x" \\ {[1, 2', "year": 1965, "mood": "good", "kind": "novella",
    "author": {"name": "Frank é", "born": "1920-10-08"}, "tags": ["a1", "b"],
    "scores": {"x": 1.25, "y": -2e3}, "sequels": [{"title": "Messiah", "year": 1969}],
}  # fmt: skip


class BookList(pydantic.RootModel[list[DataBook]]):
    pass


@pydantic.dataclasses.dataclass
class Named:
    title: str = pydantic.Field(alias="theTitle")
    year: int = 1


@dataclass(frozen=True)
class Shelf:
    name: str
    books: list[DataBook]
    first: DictBook | None = None


FOREIGN: list[Any] = []
"""Classes of other packages, each with data."""

if attrs is not None:

    @attrs.frozen
    class AttrsPage:
        _number: int
        text: str = ""

    @attrs.define
    class AttrsBook:
        title: str
        pages: list[AttrsPage] = attrs.field(factory=list)
        cover: AttrsPage | None = None
        opened: bool = attrs.field(init=False, default=False)

    FOREIGN += [
        (
            AttrsBook,
            {"title": "Dune", "pages": [{"number": 1, "text": "ab"}, {"number": 2, "text": "c"}]},
        ),
        (
            list[AttrsBook],
            [{"title": "Dune"}, {"title": "x", "cover": {"number": 1, "text": "cd"}}],
        ),
        (dict[str, AttrsPage], {"a": {"number": 1, "text": "ab"}}),
    ]
if msgspec is not None:

    class StructPage(msgspec.Struct, frozen=True, rename="camel"):
        page_number: int
        text: str = ""

    class StructBook(msgspec.Struct, kw_only=True, tag=True):
        title: str
        pages: list[StructPage] = msgspec.field(default_factory=list)
        cover: StructPage | None = None
        when: dt.date | None = None

    STRUCT = {"type": "StructBook", "title": "Dune", "pages": [{"pageNumber": 1, "text": "ab"}],
              "cover": {"pageNumber": 2, "text": "cd"}, "when": "2026-01-02"}  # fmt: skip
    FOREIGN += [
        (StructBook, STRUCT),
        (list[StructBook], [STRUCT, {**STRUCT, "title": "x"}]),
        (dict[str, StructPage], {"a": {"pageNumber": 1, "text": "ab"}}),
        (StructPage | None, {"pageNumber": 1, "text": "ab"}),
    ]


def plain(value: Any) -> Any:
    """A value as its parts, without what is not there yet."""
    if attrs is not None and attrs.has(type(value)):
        value = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        return {name: plain(part) for name, part in value.items() if part not in (None, [], False)}
    if msgspec is not None and isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: plain(part) for name, part in value.items() if part is not None}
    if isinstance(value, pydantic.RootModel):
        return plain(value.root)
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    if isinstance(value, pydantic.BaseModel) or is_dataclass(value):
        return {name: plain(part) for name, part in vars(value).items() if part is not None}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def begins(part: Any, whole: Any) -> bool:
    """Whether one value is the beginning of another."""
    if isinstance(part, dict):
        return all(name in whole and begins(part[name], whole[name]) for name in part)
    if isinstance(part, list):
        return len(part) <= len(whole) and all(map(begins, part, whole))
    return whole.startswith(part) if isinstance(part, str) else bool(part == whole)


def grown(kind: Any, text: str) -> list[Any]:
    """All values while the text is written letter by letter."""
    growing = Growing(resolve_format(kind))
    values = [growing.add(LlmPredictionFragment(letter)) for letter in text]
    return [value for value in values if value is not NOTHING]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Book, BOOK),
        (list[Book], [BOOK, {"title": "b"}]),
        (TypeAdapter(dict[str, Author]), {"a": {"name": "x"}, "b": {"name": "y"}}),
        (DataBook, {"title": "Dune", "year": 1965}),
        (DictBook, {"title": "Dune", "year": 1965}),
        ({"type": "object"}, BOOK),
        (Book.model_json_schema(), BOOK),
        (str, "text"),
        (list[str], ["one", "two"]),
        (Author | None, {"name": "x", "born": "1920-10-08"}),
        (Author | DataBook, {"title": "x", "year": 3}),
        (list[int], [1, 22, 333]),
        (list[dt.date], ["2026-01-02", "2026-03-04"]),
        (Literal["a", "ab"], "ab"),
        (int, 1234),
        (bool, True),
        (BookList, [{"title": "Dune", "year": 1965}, {"title": "x", "year": 1}]),
        (Named, {"theTitle": "Dune", "year": 2}),
        (
            Shelf,
            {
                "name": "sf",
                "books": [{"title": "a", "year": 1}],
                "first": {"title": "b", "year": 2},
            },
        ),
        (Sequence[DataBook], [{"title": "Dune", "year": 1965}]),
        (tuple[str, DataBook], ["ab", {"title": "Dune", "year": 1965}]),
        (tuple[DictBook, ...], [{"title": "Dune", "year": 1965}]),
        *FOREIGN,
    ],
    ids=str,
)
@pytest.mark.parametrize("indent", [None, 2])
def test_each_is_the_beginning_of_the_final_one(kind, data, indent) -> None:
    text = json.dumps(data, indent=indent)
    final = plain(resolve_format(kind).read(text).value)
    values = grown(kind, text)
    for value in values:
        assert begins(plain(value), final), value
    for value, following in itertools.pairwise(values):
        assert begins(plain(value), plain(following))
    assert all(type(value) is type(values[-1]) for value in values)


def test_text_grows_and_the_rest_comes_whole() -> None:
    values = grown(Book, json.dumps(BOOK))
    assert all(isinstance(value, Book) for value in values)
    assert values[2].title == "D"
    assert values[2].year is None
    assert {value.year for value in values} == {None, 1965}
    assert {value.mood for value in values} == {None, Mood.GOOD}
    born = {value.author.born for value in values if value.author is not None}
    assert born == {None, dt.date(1920, 10, 8)}
    assert values[-1] == Book.model_validate(BOOK)


@pytest.mark.parametrize(("kind", "data"), FOREIGN, ids=str)
def test_classes_of_others_grow_too(kind: Any, data: Any) -> None:
    values = grown(kind, json.dumps(data))
    assert len({repr(plain(value)) for value in values}) > 2
    assert values[-1] == resolve_format(kind).read(json.dumps(data)).value


@pytest.mark.skipif(msgspec is None, reason="msgspec is not installed")
def test_a_struct_that_wants_to_be_whole_comes_whole() -> None:
    class Even(msgspec.Struct):
        number: int
        text: str

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("odd")

    assert grown(Even, '{"number": 2, "text": "ab"}')[-1] == Even(2, "ab")
    assert resolve_format(Even).read('{"number": 1, "text": ""}').problems
    assert grown(Even, '{"number": 1, "text": "ab"}') == []
    with pytest.raises(LMStudioValueError, match="no JSON schema"):
        resolve_format(list[Even] | object)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)  # fmt: skip


@given(JSON, st.booleans())
@settings(max_examples=150, deadline=None)
def test_of_any_data_there_is_only_the_beginning(data, ascii_only) -> None:
    text = json.dumps(data, ensure_ascii=ascii_only)
    for end in range(len(text)):
        begun = begun_data(text[:end])
        if begun is not None:
            assert begins(begun.data, data), text[:end]


class FakePrediction:
    output_format = resolve_format(Book)


FRAGMENTS = [
    LlmPredictionFragment("{", reasoning_type="reasoning"),
    *(LlmPredictionFragment(letter) for letter in '{"title": "Dune", "year": 1965}'),
]


class FakeResult:
    problems = ()
    value = Book(title="Dune", year=1965)


class FakeStream(Partials[Any]):
    _prediction: Any = FakePrediction()

    def __iter__(self) -> Any:
        return iter(FRAGMENTS)

    def result(self) -> Any:
        return FakeResult()


class FakeAsyncStream(AsyncPartials[Any]):
    _prediction: Any = FakePrediction()

    async def __aiter__(self) -> Any:
        for fragment in FRAGMENTS:
            yield fragment

    def result(self) -> Any:
        return FakeResult()


def test_both_halves_give_the_same() -> None:
    async def main() -> list[Any]:
        return [value async for value in FakeAsyncStream().partials()]

    values = list(FakeStream().partials())
    assert asyncio.run(main()) == values
    assert values[-1] == FakeResult.value
    assert [value.title for value in values[2:6]] == ["D", "Du", "Dun", "Dune"]
