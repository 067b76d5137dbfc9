"""Rendering a chat template the caller brought. No I/O.

llama.cpp renders a model's own template; it takes no other with a request.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from lmstudio_core.shapes import error_text
from lmstudio_server.engines.base import ChatRequest, EngineError

from .bodies import arguments_as_objects, flattened, offered_tools, thinking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from jinja2 import Template

_CONTINUED = "\ue000\ue00c\ue000"
"""Where an answer goes on: characters without a meaning, which no template changes."""
RENDERING_SECONDS = 5.0
"""How long a template may take: loops in loops have no other end."""


def render(
    request: ChatRequest,
    template: str,
    *,
    constrained: bool,
    special_tokens: Mapping[str, str],
    media_marker: str,
) -> str:
    """Return the prompt ``template`` makes of ``request``.

    An answer already begun (a last message of the assistant's) is at the prompt's end, to be continued.
    It may take ``RENDERING_SECONDS``: call it in a thread.

    Args:
        request: The conversation.
        template: Jinja source, run in a sandbox: it comes from whoever may use the server.
        constrained: Whether a schema or grammar holds from the first token on.
        special_tokens: The model's ``bos_token`` and ``eos_token``.
        media_marker: What stands for an image in the prompt.
    Raises:
        EngineError: the template is wrong, or refused the conversation.
    """
    from jinja2 import TemplateError

    variables: dict[str, Any] = {
        **special_tokens,
        "messages": _marked(arguments_as_objects(flattened(request.messages, media_marker))),
        "add_generation_prompt": _wants_answer(request.messages),
    }
    tools = offered_tools(request)
    if tools:
        variables["tools"] = tools
    enable_thinking = thinking(request, constrained=constrained)
    if enable_thinking is not None:
        variables["enable_thinking"] = enable_thinking
    try:
        prompt = _in_time(lambda: _compiled(template).render(**variables))
    except (
        TemplateError,
        TimeoutError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
    ) as error:
        raise EngineError(
            "The prompt template cannot be used",
            cause=error_text(error, named=True),
            suggestion="Correct the Jinja template, or leave it out to use the model's own.",
        ) from error
    return _left_open(prompt)


def _marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``messages`` with the end of an answer that is to be continued marked."""
    last = messages[-1] if messages else {}
    if _wants_answer(messages) or last.get("tool_calls") or not last.get("content"):
        return messages
    return [*messages[:-1], {**last, "content": f"{last['content']}{_CONTINUED}"}]


def _left_open(prompt: str) -> str:
    """Return ``prompt`` without the markup that closes an answer yet to be continued."""
    before, found, _ = prompt.rpartition(_CONTINUED)
    return before.replace(_CONTINUED, "") if found else prompt


def _in_time(work: Callable[[], str]) -> str:
    """Return what ``work`` returns; raise ``TimeoutError`` from inside of it when that takes too long."""
    deadline = time.monotonic() + RENDERING_SECONDS

    def watch(frame: FrameType, _event: str, _argument: object) -> Any:
        if time.monotonic() > deadline:
            raise TimeoutError(f"it took longer than {RENDERING_SECONDS:g} s")
        # Only a template's own lines are watched one by one: it is there that the loops are.
        return watch if frame.f_code.co_filename == "<template>" else None

    previous = sys.gettrace()
    sys.settrace(watch)
    try:
        return work()
    finally:
        sys.settrace(previous)


def _wants_answer(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the answer is yet to begin: a last message of the assistant's is continued."""
    return not messages or messages[-1].get("role") != "assistant"


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    # Imported on first use: most servers never see a foreign template.
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # The settings chat templates are written for.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    functions: dict[str, Any] = {"raise_exception": _refuse, "strftime_now": _now}
    environment.globals.update(functions)
    return environment.from_string(template)


def _to_json(value: Any, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML, which a model has never seen in a prompt.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
