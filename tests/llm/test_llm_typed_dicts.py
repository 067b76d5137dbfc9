"""``typing.TypedDict``, which pydantic takes from Python 3.12 on: here on every Python."""

from __future__ import annotations

import typing
from typing import Annotated, Any, Literal, Optional, Union  # the older forms are what is tested

import pytest
import typing_extensions
from pydantic import TypeAdapter, ValidationError

from lmstudio_llm.schemas import resolve_format
from lmstudio_llm.tools import ToolFunctionDef, resolve_tool
from lmstudio_llm.typed_dicts import portable, replaced


class Place(typing.TypedDict):
    """Where it is."""

    name: str
    zone: typing_extensions.NotRequired[int]


class Trip(Place, total=False):
    stops: list[Place]
    by: Literal["train", "car"]
    back: Place | None


@pytest.mark.parametrize("transform", [portable, lambda kind: replaced(kind, {})])
def test_the_same_schema_and_the_same_data(transform: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(transform(Trip))
    schema = adapter.json_schema()
    assert schema["required"] == ["name"]
    assert list(schema["properties"]) == ["name", "zone", "stops", "by", "back"]
    assert schema["$defs"]["Place"]["description"] == "Where it is."
    trip = {"name": "n", "stops": [{"name": "s"}], "by": "car", "back": None}
    assert adapter.validate_python(trip) == trip
    for wrong in ({}, {"name": "n", "stops": [{}]}, {"name": "n", "by": "foot"}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


@pytest.mark.parametrize(
    "kind",
    [
        typing.List[Place],  # noqa: UP006
        list[Place],
        dict[str, list[Place]],
        Optional[Place],  # noqa: UP045
        Place | None,
        Union[Place, int],  # noqa: UP007
        tuple[Place, ...],
        Annotated[Place, "note"],
    ],
)
@pytest.mark.parametrize("transform", [portable, lambda kind: replaced(kind, {})])
def test_inside_other_types(kind: Any, transform: Any) -> None:
    assert "Place" in str(TypeAdapter(transform(kind)).json_schema())


def test_other_types_stay_as_they_are() -> None:
    for kind in (int, list[int], str | None, Literal["a"], typing.Callable[[int], str], Any):
        assert replaced(kind, {}) is kind


def test_tools_and_formats_take_them() -> None:
    def visit(place: Place, more: list[Place] | None = None) -> str:
        """Visit places."""
        return ", ".join(each["name"] for each in [place, *(more or [])])

    place = {"name": "Rome"}
    for given in (
        ToolFunctionDef.from_callable(visit),
        ToolFunctionDef(
            name="visit", description="d", parameters={"place": Place}, implementation=visit
        ),
    ):
        tool = resolve_tool(given)
        assert tool.prepare({"place": place})() == "Rome"
        with pytest.raises(ValueError, match=r"place\.name: Field required"):
            tool.prepare({"place": {}})
    assert resolve_format(Place).read('{"name": "Rome"}').value == place
