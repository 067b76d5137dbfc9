"""An act on the wire: what every round sends, and what its callbacks get."""

from __future__ import annotations

from typing import Any

import pytest
from agent_scripts import perform

from lmstudio_agent import ToolCallContext
from lmstudio_agent.events import Round
from lmstudio_agent.operations import ready_tools, start
from lmstudio_agent.options import ActKeywords
from lmstudio_core.config import kv_values
from lmstudio_core.errors import LMStudioValueError
from lmstudio_llm.chat import Chat


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fragment(text: str) -> dict[str, Any]:
    return {
        "type": "fragment",
        "fragment": {
            "content": text,
            "tokensCount": 1,
            "containsDrafted": False,
            "reasoningType": "none",
        },
    }


def asked(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    request = {"type": "function", "id": "1", "name": name, "arguments": arguments}
    return {"type": "toolCallGenerationEnd", "toolCallRequest": request}


SUCCESS = {"type": "success", "stats": {"stopReason": "eosFound"}, "modelInfo": {}}


def run(op: Any, *rounds: list[dict[str, Any]]) -> tuple[list[Any], Any]:
    """Run an act with these packets in its rounds: (parameters sent, result)."""
    sent: list[Any] = []
    left = list(rounds)
    value: Any = None
    while True:
        try:
            step = op.send(value)
        except StopIteration as stop:
            return sent, stop.value
        if isinstance(step, Round):
            channel = step.channel
            assert str(channel.endpoint) == "llm.predict"
            sent.append(channel.parameter)
            for packet in [*left.pop(0), SUCCESS]:
                for event in channel.feed(packet):
                    if (made := step.requests.see(event)) is not None:
                        made.work()
            value = channel.result()
        else:
            value = perform(step, [])


def settings(parameter: dict[str, Any]) -> dict[str, Any]:
    (layer,) = parameter["predictionConfigStack"]["layers"]
    assert layer["layerName"] == "apiOverride"
    return kv_values(layer["config"])


def test_every_round_sends_model_chat_config_preset_and_tools() -> None:
    _, op = start(
        "pocket",
        "What is 1 + 2?",
        [add],
        {"max_prediction_rounds": 2},
        config={"maxTokens": 50, "toolChoice": "required"},
        preset="mine",
    )
    (first, last), result = run(
        op, [asked("add", {"a": 1, "b": 2})], [fragment("It is "), fragment("3.")]
    )
    assert result.final == "It is 3."
    for parameter in (first, last):
        assert parameter["modelSpecifier"] == {"type": "query", "query": {"identifier": "pocket"}}
        assert parameter["fuzzyPresetIdentifier"] == "mine"
        limit = settings(parameter)["llm.prediction.maxPredictedTokens"]
        assert limit == {"checked": True, "value": 50}
    tools = settings(first)["llm.prediction.tools"]
    assert [tool["function"]["name"] for tool in tools["tools"]] == ["add"]
    assert settings(last)["llm.prediction.tools"] == {"type": "none"}
    assert (
        settings(first)["llm.prediction.toolChoice"] != settings(last)["llm.prediction.toolChoice"]
    )
    assert [m["role"] for m in last["history"]["messages"]] == ["user", "assistant", "tool"]


def test_callbacks_of_the_prediction_get_the_round() -> None:
    log: list[Any] = []
    keywords: ActKeywords = {
        "on_first_token": lambda index: log.append(("first", index)),
        "on_prediction_fragment": lambda given, index: log.append((given.content, index)),
        "on_prompt_processing_progress": lambda ratio, index: log.append((ratio, index)),
    }
    progress = {"type": "promptProcessingProgress", "progress": 0.5}
    run(
        start("pocket", "Hi", [add], keywords)[1],
        [progress, fragment("Let me"), fragment(" see."), asked("add", {"a": 1, "b": 2})],
        [fragment("3")],
    )
    whole = [(0.0, 0), (0.5, 0), (1.0, 0)]
    assert log[:6] == [*whole, ("first", 0), ("Let me", 0), (" see.", 0)]
    assert log[6:] == [(0.0, 1), (1.0, 1), ("first", 1), ("3", 1)]


def test_every_run_has_an_id_of_its_own() -> None:
    seen: list[str] = []

    def note(context: ToolCallContext) -> None:
        """Note the run."""
        seen.append(context.run_id)

    for _ in range(2):
        _, op = start("pocket", "Hi", [note], {})
        run(op, [asked("note", {})], [fragment("ok")])
    assert len(set(seen)) == 2
    assert all(seen)


def test_a_function_that_is_described_anew_is_offered_so() -> None:
    def look(where: str = "here") -> str:
        """Look."""
        return where

    (before,) = ready_tools([look])
    assert ready_tools([look]) == [before]
    look.__doc__ = "Look closely."
    look.__defaults__ = ("there",)
    (after,) = ready_tools([look])
    assert after.description == "Look closely."
    assert after.parameters["properties"]["where"]["default"] == "there"


@pytest.mark.parametrize("wrong", [None, 7, "add", {"name": "add"}, [7], [add, add], [lambda a: a]])
def test_what_is_no_list_of_tools_is_refused(wrong: Any) -> None:
    with pytest.raises(LMStudioValueError):
        start("pocket", "Hi", wrong, {})


@pytest.mark.parametrize(
    "arguments", [{"chat": 7}, {"chat": Chat()}, {"config": {"maxTokens": "x"}}, {"config": "hot"}]
)
def test_mistakes_are_found_before_anything_is_sent(arguments: dict[str, Any]) -> None:
    chat = arguments.get("chat", "Hi")
    with pytest.raises(LMStudioValueError):
        start("pocket", chat, [add], {}, config=arguments.get("config"))
