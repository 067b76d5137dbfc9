"""The sync and the async facade are the same; the capability declares what the package offers."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import lmstudio_llm
from lmstudio_core.errors import CapabilityNotInstalledError
from lmstudio_core.lazy import load_object
from lmstudio_core.models.infos import LlmInfo
from lmstudio_llm import (
    LLM,
    AsyncDownloadedLlm,
    AsyncLLM,
    AsyncLLMNamespace,
    AsyncPredictionStream,
    DownloadedLlm,
    LLMNamespace,
    PredictionStream,
)
from lmstudio_llm.capability import CAPABILITY

PAIRS = [
    (LLM, AsyncLLM),
    (DownloadedLlm, AsyncDownloadedLlm),
    (LLMNamespace, AsyncLLMNamespace),
    (PredictionStream, AsyncPredictionStream),
]


def public(cls: type) -> dict[str, Any]:
    return {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}


def plainly(annotation: Any) -> str:
    """A type as text, without what makes it async."""
    text = re.sub(r"\bA?[Ss]ync(?=[A-Z])", "", str(annotation))
    return re.sub(r"Iterator|Iterable", "Iter", text)


@pytest.mark.parametrize(("sync", "aio"), PAIRS)
def test_sync_and_async_are_the_same(sync: type, aio: type) -> None:
    names = {"aclose" if name == "close" else name: name for name in public(sync)}
    assert set(names) == set(public(aio))
    for async_name, sync_name in names.items():
        one, other = getattr(sync, sync_name), getattr(aio, async_name)
        if not inspect.isfunction(one):
            assert type(one) is type(other)
            continue
        ours, theirs = inspect.signature(one), inspect.signature(other)
        for mine, its in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
            assert (mine.name, mine.kind, mine.default) == (its.name, its.kind, its.default)
            assert plainly(mine.annotation) == plainly(its.annotation)
        assert plainly(ours.return_annotation) == plainly(theirs.return_annotation), sync_name


@pytest.mark.parametrize("cls", [LLM, AsyncLLM])
@pytest.mark.parametrize("name", ["respond", "complete"])
def test_streams_take_what_their_results_take(cls: type, name: str) -> None:
    whole, stream = (
        dict(inspect.signature(getattr(cls, n)).parameters) for n in (name, f"{name}_stream")
    )
    del whole["retries"]  # what was streamed cannot be taken back
    assert whole == stream


def test_every_public_method_is_documented_with_an_example() -> None:
    for cls in (LLM, AsyncLLM, PredictionStream, AsyncPredictionStream):
        assert "Example" in (cls.__doc__ or "")
        for name, member in public(cls).items():
            assert inspect.getdoc(member), f"{cls.__name__}.{name}"
    for name in ("respond", "respond_stream", "complete", "complete_stream", "act"):
        assert ">>>" in (getattr(LLM, name).__doc__ or "")
        assert ">>>" in (getattr(AsyncLLM, name).__doc__ or "")


def test_every_export_is_where_the_capability_says() -> None:
    assert CAPABILITY.name == "llm"
    assert CAPABILITY.load_sync() is LLMNamespace
    assert CAPABILITY.load_async() is AsyncLLMNamespace
    kind = CAPABILITY.load_model_kind()
    assert kind is not None
    assert kind.class_of(kind.handle) is LLM
    assert kind.class_of(kind.async_handle) is AsyncLLM
    assert kind.class_of(kind.downloaded) is DownloadedLlm
    assert kind.class_of(kind.async_downloaded) is AsyncDownloadedLlm
    assert set(CAPABILITY.exports) == set(lmstudio_llm.__all__)
    for name, path in CAPABILITY.exports.items():
        assert load_object(path) is getattr(lmstudio_llm, name), name


def test_the_convenience_function_takes_what_the_namespace_takes() -> None:
    method = inspect.signature(LLMNamespace.model).parameters
    function = inspect.signature(lmstudio_llm.llm).parameters
    assert {name: (p.kind, p.default) for name, p in method.items() if name != "self"} == {
        name: (p.kind, p.default) for name, p in function.items()
    }


def test_unknown_attributes_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="chatt"):
        lmstudio_llm.chatt  # noqa: B018
    assert "Chat" in dir(lmstudio_llm)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, lmstudio_llm, lmstudio_llm.capability\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_handles_print_as_documented() -> None:
    assert repr(LLM("x", None)) == "LLM(identifier='x')"  # type: ignore[arg-type]
    assert repr(AsyncLLM("x", None)) == "AsyncLLM(identifier='x')"  # type: ignore[arg-type]
    info = LlmInfo.from_dict({"modelKey": "k", "displayName": "K", "architecture": "llama"})
    shown = "(model_key='k', display_name='K', architecture='llama', vision=False)"
    assert repr(DownloadedLlm(info, None)) == f"DownloadedLlm{shown}"  # type: ignore[arg-type]
    assert repr(AsyncDownloadedLlm(info, None)) == f"AsyncDownloadedLlm{shown}"  # type: ignore[arg-type]


class _NoAgent:
    def capability(self, name: str) -> Any:
        raise CapabilityNotInstalledError(
            f"{name}: install lmstudio-agent", capability=name, package="lmstudio-agent"
        )


class _Agent:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def capability(self, name: str) -> Any:
        assert name == "agent"
        return self

    def act(self, *args: Any, **options: Any) -> str:
        self.calls.append((args, options))
        return "acted"


def test_act_is_carried_out_by_the_agent_package() -> None:
    agent = _Agent()
    model = LLM("x", agent)  # type: ignore[arg-type]
    assert model.act("chat", [], max_prediction_rounds=3) == "acted"
    [(args, options)] = agent.calls
    assert args == (model, "chat", [])
    assert options["max_prediction_rounds"] == 3
    assert options["max_parallel_tool_calls"] == 1
    with pytest.raises(CapabilityNotInstalledError, match="lmstudio-agent"):
        LLM("x", _NoAgent()).act("chat", [])  # type: ignore[arg-type]
