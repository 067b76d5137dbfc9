"""Settings: every kind of field on the wire, mistakes where they are made, values that do not fit."""

from __future__ import annotations

import enum
import logging
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from lmstudio.plugin import (
    BaseConfigSchema,
    Directory,
    LMStudioPluginInitError,
    PluginConfig,
    Setting,
    config_field,
)
from lmstudio_core.config import kv_config
from lmstudio_core.errors import LMStudioValueError, ValidationError
from lmstudio_core.protocol.setting_kinds import KINDS, value_problem


class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


class Inner(PluginConfig):
    depth: Annotated[int, Setting("Depth")] = 3


class Everything(PluginConfig):
    sides: Annotated[
        int,
        Setting("Sides", hint="How many.", slider=(4, 100, 1), short_hand="d"),
        Field(ge=2, le=99),
    ] = 6
    share: Annotated[float, Setting("Share", precision=2, step=0.1, experimental=True)] = 0.5
    mode: Annotated[Literal["fast", "slow"], Setting("Mode", names={"fast": "Quick"})] = "fast"
    mood: Mood = Mood.CALM
    loud: Annotated[bool, Setting("Loud", subtitle="All of it", warning="Mind your ears")] = False
    text: Annotated[
        str, Setting("Text", paragraph=True, placeholder="Say"), Field(max_length=9)
    ] = ""
    key: Annotated[str, Setting("Key", secret=True, token=True, depends_on=("mode", "fast"))] = ""
    words: Annotated[list[str], Setting("Words", max_items=2, allow_empty=True)] = ["a"]  # noqa: RUF012 - a pydantic model
    place: Annotated[Directory, Setting("Place", access="read")] = Directory("")
    places: Annotated[
        list[Directory], Setting("Places", depends_on=[("loud", "!=", True), ("mood", Mood.WILD)])
    ] = []  # noqa: RUF012
    inner: Inner = Inner()


def fields(schema: Any) -> dict[str, dict[str, Any]]:
    wire = schema._to_kv_config_schematics().to_dict()["fields"]
    return {field["fullKey"]: field for field in wire}


def test_every_kind_on_the_wire() -> None:
    found = fields(Everything)
    assert {key: field["typeKey"] for key, field in found.items()} == {
        "sides": "numeric",
        "share": "numeric",
        "mode": "select",
        "mood": "select",
        "loud": "boolean",
        "text": "string",
        "key": "string",
        "words": "stringArray",
        "place": "directory",
        "places": "directoryGroup",
        "inner.depth": "numeric",
    }
    assert {field["typeKey"] for field in found.values()} == set(KINDS)
    assert found["inner.depth"]["shortKey"] == "inner.depth"
    assert found["sides"]["typeParams"] == {
        "displayName": "Sides",
        "hint": "How many.",
        "int": True,
        "min": 2,
        "max": 99,
        "slider": {"min": 4, "max": 100, "step": 1},
        "shortHand": "d",
    }
    assert found["share"]["typeParams"] == {
        "displayName": "Share",
        "precision": 2,
        "step": 0.1,
        "isExperimental": True,
    }
    options = [{"value": "fast", "displayName": "Quick"}, "slow"]
    assert found["mode"]["typeParams"] == {"displayName": "Mode", "options": options}
    assert found["mood"] == {
        "shortKey": "mood",
        "fullKey": "mood",
        "typeKey": "select",
        "defaultValue": "calm",
        "typeParams": {"displayName": "Mood", "options": ["calm", "wild"]},
    }
    assert found["text"]["typeParams"]["maxLength"] == 9
    assert found["key"]["typeParams"]["dependencies"] == [
        {"key": "mode", "condition": {"type": "equals", "value": "fast"}}
    ]
    assert found["places"]["typeParams"]["dependencies"] == [
        {"key": "loud", "condition": {"type": "notEquals", "value": True}},
        {"key": "mood", "condition": {"type": "equals", "value": "wild"}},
    ]


def test_values_become_what_the_types_say() -> None:
    given = {"mood": "wild", "place": "/tmp/x", "inner.depth": 5, "words": ["a", ""]}
    made = Everything._parse(kv_config(given))
    assert (made.mood, made.inner.depth, made.words) == (Mood.WILD, 5, ["a", ""])
    assert made.place.path is not None
    assert made.place.path.name == "x"
    assert Everything._parse({"fields": []}).place.path is None


class Official(BaseConfigSchema):
    sides: int = config_field(label="Sides", hint="How many.", default=6)
    name: str = config_field(label="Name", hint="Whose.", default="x")
    odds: float = config_field(label="Odds", hint="Of what.", default=0.5)
    loud: bool = config_field(label="Loud", hint="How.", default=True)


def test_the_official_form_on_the_wire() -> None:
    assert fields(Official)["sides"] == {
        "shortKey": "sides",
        "fullKey": "sides",
        "typeKey": "numeric",
        "defaultValue": 6,
        "typeParams": {"displayName": "Sides", "hint": "How many.", "int": True},
    }
    assert [f["typeKey"] for f in fields(Official).values()] == [
        *("numeric", "string", "numeric", "boolean")
    ]
    assert fields(Official)["odds"]["typeParams"]["int"] is False
    assert Official.sides == 6
    assert Official().name == "x"
    assert BaseConfigSchema._to_kv_config_schematics() is None


def test_a_field_defined_anew_is_there_once() -> None:
    class Child(Official):
        sides: int = config_field(label="Faces", hint="How many.", default=8)

    class ChildOfEverything(Everything):
        sides: Annotated[int, Setting("Faces")] = 8

    for child, parent in ((Child, Official), (ChildOfEverything, Everything)):
        assert list(fields(child)) == list(fields(parent))
        assert fields(child)["sides"]["defaultValue"] == 8
        assert fields(parent)["sides"]["defaultValue"] == 6


@pytest.mark.parametrize("schema", [Official, Everything])
def test_unknown_keys_are_left_out_and_logged(
    schema: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "lmstudio"):
        assert schema._parse(kv_config({"old": 1, "sides": 7})).sides == 7
    assert "old" in caplog.text


@pytest.mark.parametrize("schema", [Official, Everything])
@pytest.mark.parametrize("value", ["6", None, 1.5, True, [6], {}])
def test_a_value_that_does_not_fit_names_label_and_key(schema: Any, value: Any) -> None:
    with pytest.raises(ValidationError, match=r"'Sides' \(sides\) must be an integer"):
        schema._parse(kv_config({"sides": value}))


def test_a_secret_is_never_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Everything._parse(kv_config({"key": ["hunter2"]}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("a: int", "a has no default"),
        ("a = 3", "annotat"),
        ("a: int | None = None", "None is not possible"),
        ("a: dict = {}", "no field for"),
        ("a: Annotated[int, Field(ge=2)] = 1", "its default must be an integer >= 2, got 1"),
        ("a: Literal['x'] = 'y'", "its default must be one of 'x', got 'y'"),
        ("a: Annotated[bool, Setting('A', paragraph=True)] = True", "paragraph= is not for"),
        ("a: Annotated[str, Setting('A', depends_on=('b',))] = ''", "depends_on is"),
    ],
)
def test_mistakes_show_where_the_class_is_defined(body: str, words: str) -> None:
    names = {"Annotated": Annotated, "Literal": Literal, "Field": Field, "Setting": Setting}
    code = compile(f"class Wrong(PluginConfig):\n    {body}", "x", "exec", dont_inherit=True)
    with pytest.raises(LMStudioPluginInitError, match=words):
        exec(code, {**names, "PluginConfig": PluginConfig})


def test_mistakes_of_the_official_form_show_there_too() -> None:
    with pytest.raises(LMStudioPluginInitError, match=r"Wrong\.a has no type"):

        class Wrong(BaseConfigSchema):
            a = config_field(label="A", hint="", default=1)

    with pytest.raises(LMStudioPluginInitError, match="its default must be a bool"):
        config_field(label="A", hint="", default=None)


@pytest.mark.parametrize(
    ("kind", "parameters", "good", "bad"),
    [
        ("numeric", {"min": 1, "max": 2.5}, [1, 2.5], [0, 3, "1", None, True, float("nan")]),
        ("numeric", {"int": True}, [1, 2.0], [1.5]),
        ("string", {"minLength": 1, "maxLength": 3}, ["a", "abc"], ["", "abcd", 1, None]),
        (
            "select",
            {"options": ["a", {"value": "b", "displayName": "B"}]},
            ["a", "b"],
            ["B", 1, {}],
        ),
        ("boolean", {}, [True, False], [0, "true", None]),
        ("stringArray", {"maxNumItems": 2}, [[], ["a"]], [["a", "b", "c"], [""], [1], "a"]),
        ("stringArray", {"allowEmptyStrings": True}, [[""]], [[None]]),
        ("directory", {}, ["", "/tmp"], [1, None]),
        ("directoryGroup", {}, [[], ["/tmp"]], ["/tmp", [1]]),
        ("of another world", {}, [1, None, {}], []),
    ],
)
def test_which_values_a_kind_takes(
    kind: str, parameters: Any, good: list[Any], bad: list[Any]
) -> None:
    assert [value_problem(kind, parameters, value) for value in good] == [None] * len(good)
    for value in bad:
        assert "must be" in (value_problem(kind, parameters, value) or "")


def test_errors_are_value_errors() -> None:
    assert issubclass(ValidationError, LMStudioValueError)
