"""Agents for LM Studio: ``model.act(...)`` lets a model work with tools, round by round.

With this package installed, ``act`` works on every model handle::

    import lmstudio as lms

    def multiply(a: float, b: float) -> float:
        '''Multiply two numbers.'''
        return a * b

    lms.llm("qwen/qwen3-4b").act("What is 12345 multiplied by 54321?", [multiply])

Nothing heavy is imported before one of the names below is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .context import ToolCallContext
    from .namespaces import AgentNamespace, AsyncAgentNamespace
    from .results import ActResult, ToolCallRecord, Usage

__version__ = "2.0.0"

__all__ = [
    "ActResult",
    "AgentNamespace",
    "AsyncAgentNamespace",
    "ToolCallContext",
    "ToolCallRecord",
    "Usage",
]

_HOME = {
    "ActResult": "results",
    "AgentNamespace": "namespaces",
    "AsyncAgentNamespace": "namespaces",
    "ToolCallContext": "context",
    "ToolCallRecord": "results",
    "Usage": "results",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
