"""The sync and the async facade are the same, and have what programs of the official SDK use."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import typing

import pytest

import lmstudio_agent
from lmstudio_agent import ActResult, AgentNamespace, AsyncAgentNamespace
from lmstudio_agent.capability import CAPABILITY
from lmstudio_agent.options import ActKeywords, ActOptions
from lmstudio_core.lazy import load_object
from lmstudio_llm import LLM, AsyncLLM

OFFICIAL = {
    "max_prediction_rounds": None,
    "max_parallel_tool_calls": 1,
    "config": None,
    "preset": None,
    "on_message": None,
    "on_first_token": None,
    "on_prediction_fragment": None,
    "on_round_start": None,
    "on_round_end": None,
    "on_prediction_completed": None,
    "on_prompt_processing_progress": None,
    "handle_invalid_tool_request": None,
}


@pytest.mark.parametrize("name", ["act", "act_stream"])
@pytest.mark.parametrize("pair", [(AgentNamespace, AsyncAgentNamespace), (LLM, AsyncLLM)])
def test_both_facades_have_the_same_parameters(pair: tuple[type, type], name: str) -> None:
    sync, aio = (inspect.signature(getattr(cls, name)) for cls in pair)
    assert list(sync.parameters) == list(aio.parameters)
    assert sync.return_annotation == aio.return_annotation.replace("AsyncActStream", "ActStream")
    for parameter in sync.parameters.values():
        if parameter.name != "model":
            assert parameter == aio.parameters[parameter.name]


def test_act_is_a_coroutine_function_and_act_stream_is_not() -> None:
    for cls in (AsyncAgentNamespace, AsyncLLM):
        assert inspect.iscoroutinefunction(cls.act)
        assert not inspect.iscoroutinefunction(cls.act_stream)


def test_act_has_the_official_parameters() -> None:
    parameters = list(inspect.signature(LLM.act).parameters.values())
    assert [p.name for p in parameters[:3]] == ["self", "chat", "tools"]
    assert {p.name: p.default for p in parameters[3:]}.items() >= OFFICIAL.items()
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[3:])


def test_every_limit_and_callback_is_known_everywhere() -> None:
    direct = {"self", "chat", "tools", "response_format", "toolsets", "config", "preset"}
    keywords = set(ActKeywords.__annotations__)
    assert set(inspect.signature(LLM.act).parameters) - direct == keywords
    assert {field.name for field in dataclasses.fields(ActOptions)} - {"run_id"} == keywords


@pytest.mark.parametrize("cls", [AgentNamespace, AsyncAgentNamespace])
def test_the_hints_can_be_resolved(cls: type) -> None:
    assert typing.get_origin(typing.get_type_hints(cls.act)["return"]) is ActResult


def test_both_are_documented_alike() -> None:
    sync, aio = (inspect.getdoc(c.act) or "" for c in (LLM, AsyncLLM))
    for part in ("Args:", "Returns:", "Raises:", "Example:", *ActKeywords.__annotations__):
        assert part in sync
        assert part in aio


def test_a_result_can_be_made_as_officially() -> None:
    result = ActResult(rounds=2, total_time_seconds=0.5)
    assert repr(result) == "ActResult(rounds=2, total_time_seconds=0.5)"
    assert (result.final, result.stop_reason, result.usage.total_tokens) == ("", None, 0)


def test_every_export_is_where_the_capability_says() -> None:
    assert CAPABILITY.name == "agent"
    assert CAPABILITY.load_sync() is AgentNamespace
    assert CAPABILITY.load_async() is AsyncAgentNamespace
    assert set(CAPABILITY.exports) == set(lmstudio_agent.__all__)
    for name, path in CAPABILITY.exports.items():
        assert load_object(path) is getattr(lmstudio_agent, name), name
    assert set(lmstudio_agent.__all__) <= set(dir(lmstudio_agent))
    with pytest.raises(AttributeError, match="agents"):
        lmstudio_agent.agents  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, lmstudio_agent, lmstudio_agent.capability\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets', 'lmstudio_llm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_loop_touches_no_io() -> None:
    import lmstudio_agent.loop as loop

    source = inspect.getsource(loop)
    for module in ("asyncio", "threading", "socket", "concurrent"):
        assert f"import {module}" not in source
