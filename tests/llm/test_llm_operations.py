"""What the facades send: requests as plain data, checked before they go."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
from llm_scripts import fragment, success

from lmstudio_core.config import kv_values
from lmstudio_core.errors import LMStudioRequestRejectedError, LMStudioValueError
from lmstudio_llm import Chat, LlmPredictionConfig
from lmstudio_llm import operations as ops


class Book(pydantic.BaseModel):
    title: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def layers(prediction: ops.Prediction[Any]) -> dict[str, dict[str, Any]]:
    stack = prediction.channel.parameter["predictionConfigStack"]["layers"]
    return {layer["layerName"]: kv_values(layer["config"]) for layer in stack}


def test_the_request_of_a_response() -> None:
    prediction = ops.respond("m", "hi", config={"maxTokens": 5}, preset="mine")
    assert str(prediction.channel.endpoint) == "llm.predict"
    assert prediction.channel.parameter == {
        "modelSpecifier": {"type": "query", "query": {"identifier": "m"}},
        "history": {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        "predictionConfigStack": {
            "layers": [
                {
                    "layerName": "apiOverride",
                    "config": {
                        "fields": [
                            {
                                "key": "llm.prediction.maxPredictedTokens",
                                "value": {"checked": True, "value": 5},
                            }
                        ]
                    },
                }
            ]
        },
        "fuzzyPresetIdentifier": "mine",
    }
    assert "fuzzyPresetIdentifier" not in ops.respond("m", "hi").channel.parameter


def test_tools_and_their_choice() -> None:
    values = layers(ops.respond("m", "hi", tools=[add], tool_choice="required"))["apiOverride"]
    [tool] = values["llm.prediction.tools"]["tools"]
    assert tool["function"]["name"] == "add"
    assert values["llm.prediction.toolChoice"] == {"type": "generic", "mode": "required"}
    assert layers(ops.respond("m", "hi", tools=[]))["apiOverride"] == {
        "llm.prediction.tools": {"type": "none"}
    }
    with pytest.raises(LMStudioValueError, match="toolChoice"):
        ops.respond("m", "hi", tool_choice="maybe")  # type: ignore[arg-type]


def test_a_config_object_is_not_changed() -> None:
    config = LlmPredictionConfig(temperature=0.1)
    prediction = ops.respond("m", "hi", config=config, response_format=Book)
    assert config == LlmPredictionConfig(temperature=0.1)
    assert layers(prediction)["apiOverride"]["llm.prediction.structured"]["type"] == "json"


def test_a_format_in_the_config_counts_too() -> None:
    prediction = ops.respond("m", "hi", config={"structured": Book})
    for packet in (fragment('{"title": "x"}'), success()):
        prediction.channel.feed(packet)
    assert prediction.channel.result().parsed == {"title": "x"}
    with pytest.raises(LMStudioValueError, match="one of them"):
        ops.respond("m", "hi", config={"structured": Book}, response_format=Book)


def test_completion_goes_raw_with_no_stop_strings_of_a_preset() -> None:
    prediction = ops.complete("m", "Once", config={"temperature": 1})
    assert str(prediction.channel.endpoint) == "llm.completeRawText"
    assert prediction.channel.parameter["rawPrompt"] == "Once"
    assert "history" not in prediction.channel.parameter
    assert layers(prediction)["apiOverride"] == {
        "llm.prediction.stopStrings": [],
        "llm.prediction.temperature": 1,
    }
    given = ops.complete("m", "Once", config={"stopStrings": ["x"]})
    assert layers(given)["apiOverride"] == {"llm.prediction.stopStrings": ["x"]}


def test_completion_on_an_older_server() -> None:
    support = ops.ServerSupport()
    op = ops.complete("m", "Once", config={"temperature": 1}, support=support).op()
    first = next(op)
    second = op.throw(LMStudioRequestRejectedError("no such endpoint"))
    assert str(first.endpoint) == "llm.completeRawText"
    assert str(second.endpoint) == "llm.predict"
    assert second.parameter["history"]["messages"][0]["content"][0]["text"] == "Once"
    fallback = layers(ops.Prediction(second))
    assert list(fallback) == ["apiOverride", "completeModeFormatting"]
    template = fallback["completeModeFormatting"]["llm.prediction.promptTemplate"]
    assert "message['content']" in template["jinjaPromptTemplate"]["template"]
    with pytest.raises(LMStudioRequestRejectedError):
        op.throw(LMStudioRequestRejectedError("nor this one"))
    again = ops.complete("m", "Once", support=support)
    assert str(again.channel.endpoint) == "llm.predict"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"rawTools": {"type": "none"}}, "raw_tools"),
        ({"toolChoice": "auto"}, "tool_choice"),
        ({"reasoningBudget": 5}, "reasoning_budget"),
    ],
)
def test_settings_without_a_meaning_for_completion(config, says) -> None:
    with pytest.raises(LMStudioValueError, match=says):
        ops.complete("m", "x", config=config)
    ops.complete("m", "x", config={"reasoningBudget": False})


def test_a_chat_is_no_prompt() -> None:
    with pytest.raises(LMStudioValueError, match="respond"):
        ops.complete("m", Chat())  # type: ignore[arg-type]


def test_prompt_templates() -> None:
    call = ops.apply_prompt_template("m", "hi", {"omit_bos_token": True, "toolDefinitions": [add]})
    options = call.parameter["opts"]
    assert options["omitBosToken"] is True
    assert options["toolDefinitions"][0]["function"]["name"] == "add"
    assert call.decode({"formatted": "x"}) == "x"
    with pytest.raises(LMStudioValueError, match="omit_bos_token"):
        ops.apply_prompt_template("m", "hi", {"bos": True})
