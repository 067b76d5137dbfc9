"""Data: strict for what people write, lenient for what servers send; configs and their keys."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field

from lmstudio_core import errors
from lmstudio_core.config import KV, ConfigModel, config_stack, kv_config, kv_values
from lmstudio_core.data import BaseModel, InputStruct, SameOnServer, ServerStruct, nearest
from lmstudio_core.files.handles import FileHandle
from lmstudio_core.models.gpu import GpuSetting
from lmstudio_core.models.infos import LlmInstanceInfo, parse_model_info

ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 50) | st.text(max_size=5) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


class Inner(ServerStruct):
    bits: int = 4


class Info(ServerStruct):
    model_key: str
    size_bytes: int = 0
    inner: Inner | None = None
    tags: tuple[str, ...] = ()
    maker: list[str] = Field(default_factory=lambda: ["nobody"])


class Write(InputStruct):
    max_tokens: int = 1
    temperature: float | None = None


class Config(ConfigModel):
    temperature: Annotated[float | None, KV("llm.temperature")] = None
    max_tokens: Annotated[int | Literal[False] | None, KV("llm.maxTokens", checkbox=1)] = None
    nested: Annotated[list[Write] | None, KV("llm.nested")] = None
    plain: int | None = None


# -- what servers send -----------------------------------------------------------------------------


def test_both_spellings_and_unknown_keys_are_taken():
    info = Info.from_dict({"modelKey": "a", "size_bytes": 3, "newIn2027": [1]})
    assert (info.model_key, info.size_bytes) == ("a", 3)
    assert info.newIn2027 == [1]
    assert info.to_dict()["newIn2027"] == [1]
    assert repr(info).startswith("Info.from_dict({'modelKey': 'a'")
    assert str(info) == repr(info)


def test_wrong_types_never_fail():
    info = Info.from_dict({"modelKey": 5, "sizeBytes": "big", "inner": [1], "tags": 3, "maker": 1})
    assert info.model_key == 5  # required: as it came
    assert (info.size_bytes, info.inner, info.tags, info.maker) == (0, None, (), ["nobody"])
    assert Info.from_dict({"modelKey": "a", "inner": {"bits": "four"}}).inner.bits == 4


@given(
    st.dictionaries(st.sampled_from(["modelKey", "sizeBytes", "inner", "tags", "maker", "x"]), ODD)
)
def test_nothing_in_a_field_is_fatal(data):
    Info.from_dict({"modelKey": "a", **data})


@given(ODD, ODD)
def test_model_infos_of_any_kind(kind, value):
    info = parse_model_info({"type": kind, "modelKey": value, "quantization": value})
    assert repr(info)
    assert LlmInstanceInfo.from_dict({"identifier": value, "contextLength": value}) is not None


# -- what people write -----------------------------------------------------------------------------


def test_inputs_take_both_spellings():
    assert (
        Write.from_dict({"maxTokens": 2})
        == Write.from_dict({"max_tokens": 2})
        == Write(max_tokens=2)
    )
    assert Write(max_tokens=2).to_dict() == {"maxTokens": 2}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"maxTokns": 2}, "Write has no field 'maxTokns'; did you mean 'max_?[tT]okens'"),
        ({"zzz": 2}, "Write has no field 'zzz'; known: max_tokens, temperature"),
        ({"maxTokens": "many"}, r"Write\.maxTokens = 'many': "),
    ],
)
def test_what_is_wrong_is_said(data, message):
    with pytest.raises(errors.LMStudioValueError, match=message):
        Write.from_dict(data)


def test_nearest():
    assert nearest("Temprature", ["temperature", "topK"]) == "temperature"
    assert nearest("zzz", ["temperature"]) is None
    assert nearest("temp", ["max_temperature", "temperature"]) == "temperature"
    assert nearest("topK", ["topPSampling", "topKSampling"]) == "topKSampling"
    assert nearest("p", ["temperature"]) is None


def test_a_base_for_structured_output():
    class Answer(BaseModel):
        text: str

    assert Answer.model_json_schema()["properties"]["text"]["type"] == "string"


# -- configs and keys ------------------------------------------------------------------------------


def test_configs_become_keys_and_come_back():
    config = Config(temperature=0.5, max_tokens=9, nested=[Write(max_tokens=3)], plain=1)
    assert config.to_kv() == {
        "llm.temperature": 0.5,
        "llm.maxTokens": {"checked": True, "value": 9},
        "llm.nested": [{"maxTokens": 3}],
    }
    assert Config.from_kv(config.to_kv()) == config.model_copy(update={"plain": None})


def test_a_checkbox_that_is_off_has_a_filler():
    assert Config(max_tokens=False).to_kv() == {"llm.maxTokens": {"checked": False, "value": 1}}
    assert Config.from_kv({"llm.maxTokens": {"checked": False, "value": 1}}).max_tokens is False
    assert Config.from_kv({"llm.maxTokens": 7}).max_tokens == 7


def test_what_is_not_set_is_not_sent():
    assert Config().to_kv() == {}


def test_a_servers_values_are_taken_as_far_as_they_fit():
    found = Config.from_kv({"llm.temperature": "hot", "llm.maxTokens": 4, "llm.new": 1})
    assert found == Config(max_tokens=4)


@given(
    st.dictionaries(st.sampled_from(["llm.temperature", "llm.maxTokens", "llm.nested", "x"]), ODD)
)
def test_no_value_of_a_server_is_fatal(values):
    Config.from_kv(values)


def test_parse():
    config = Config(temperature=1)
    assert Config.parse(config) is config
    assert Config.parse(None) == Config()
    assert Config.parse({"maxTokens": 2}) == Config(max_tokens=2)
    with pytest.raises(
        errors.LMStudioValueError, match="must be a dict or of the class Config, not int"
    ):
        Config.parse(5)


def test_kv_configs():
    assert kv_config({"a": 1}) == {"fields": [{"key": "a", "value": 1}]}
    assert kv_values(kv_config({"a": 1, "b": None})) == {"a": 1, "b": None}
    assert config_stack(("x", {"a": 1})) == {
        "layers": [{"layerName": "x", "config": {"fields": [{"key": "a", "value": 1}]}}]
    }
    odd: list[Any] = [
        None,
        5,
        "x",
        {},
        {"fields": 5},
        {"fields": "xy"},
        {"fields": [1, {"value": 2}]},
    ]
    assert [kv_values(value) for value in odd] == [{}] * 7


@given(ODD)
def test_no_kv_config_is_fatal(value):
    kv_values(value)
    kv_values({"fields": value})


class Nesting(ConfigModel):
    gpu: GpuSetting | None = None
    parts: list[GpuSetting] | None = None
    plain: dict[str, int] | None = None


@pytest.mark.parametrize(
    ("data", "messages", "made"),
    [
        ({"maxTokns": 2}, ["Config has no field 'maxTokns'; did you mean 'max_?[tT]okens'"], {}),
        ({"zzz": 2, "temperature": 1}, ["no field 'zzz'; known: temp"], {"temperature": 1}),
        ({"a1": 1, "b2": 2}, ["no field 'a1'", "no field 'b2'"], {}),
    ],
)
def test_unknown_keys_of_a_config_dict_are_left_out_with_a_warning(data, messages, made):
    given = dict(data)
    with pytest.warns(errors.LMStudioUnknownSettingWarning) as caught:
        assert Config.parse(given) == Config(**made)
    assert given == data
    for warning, message in zip(caught, messages, strict=True):
        assert re.search("^A setting was left out: .*" + message, str(warning.message))
        assert warning.filename == __file__


def test_unknown_keys_inside_a_config_dict():
    data = {"gpu": {"ratio": 1, "ratioo": 2}, "parts": [{"mainGpu": 1, "x": 1}], "plain": {"y": 1}}
    with pytest.warns(errors.LMStudioUnknownSettingWarning) as caught:
        made = Nesting.from_dict(data)
    assert made == Nesting(gpu=GpuSetting(ratio=1), parts=[GpuSetting(main_gpu=1)], plain={"y": 1})
    said = [str(warning.message) for warning in caught]
    assert "GpuSetting of Nesting has no field 'ratioo'; did you mean 'ratio'?" in said[0]
    assert "no field 'x'" in said[1]
    assert data["gpu"] == {"ratio": 1, "ratioo": 2}


def test_a_value_that_is_wrong_stays_an_error_beside_an_unknown_key():
    with (
        pytest.warns(errors.LMStudioUnknownSettingWarning),
        pytest.raises(errors.ValidationError, match="temperature = 'hot'"),
    ):
        Config.from_dict({"temperature": "hot", "zzz": 1})


@pytest.mark.parametrize(
    "data",
    [{"maxTokens": 1, "max_tokens": 2}, {"gpu": {"mainGpu": 1, "main_gpu": 2}}],
)
def test_a_setting_given_twice_is_an_error(data):
    cls = Nesting if "gpu" in data else Config
    with pytest.raises(errors.FieldNameError, match="twice, in two spellings"):
        cls.parse(data)


@pytest.mark.parametrize("builtin", [TypeError, AttributeError, errors.ValidationError])
def test_config_classes_are_strict(builtin):
    with pytest.raises(
        builtin, match=r"Config\(\) got an unexpected keyword argument 'maxTokns'; did"
    ):
        Config(maxTokns=2)
    with pytest.raises(
        builtin, match=r"Strict\(\) got an unexpected keyword argument 'b'; known: a"
    ):
        Strict(b=1)
    assert Strict.from_dict({"a": 1, "b": 1}) == Strict(a=1)
    with pytest.raises(builtin, match="Field required"):
        FileHandle(name="a")
    with pytest.raises(errors.ValidationError) as caught:
        Config(temperature="hot")
    assert not isinstance(caught.value, TypeError)


class Strict(InputStruct):
    model_config = ConfigDict(extra="ignore")

    a: int = 0


class Thing(SameOnServer):
    def __init__(self, client, name):
        self._client, self.name = client, name

    def _same(self):
        return self.name


class OtherThing(Thing):
    pass


def test_things_of_a_client_are_equal_if_they_are_the_same():
    here, there = object(), object()
    thing = Thing(here, "a")
    assert thing == Thing(here, "a")
    assert thing in [Thing(here, "b"), Thing(here, "a")]
    assert {thing, Thing(here, "a")} == {thing}
    for other in (Thing(here, "b"), Thing(there, "a"), OtherThing(here, "a"), "a"):
        assert thing != other
