"""Prompts by a chat template the caller brought: what it is rendered with, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.engines.base import ChatRequest, EngineError
from lmstudio_server.foreign.workers import FailedError, Limits, Workers

from .bodies import arguments_as_objects, flattened, offered_tools, thinking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LIMITS", "Templates", "left_open", "variables_of"]

_CONTINUED = "\ue000\ue00c\ue000"
"""Where an answer goes on: characters without a meaning, which no template changes."""
LIMITS: Final = Limits(seconds=5.0, memory_bytes=256 * 2**20, answer_bytes=16 * 2**20)
"""A template is foreign code: ``9**(9**9)`` has no end, ``'a' * 10**9`` takes all memory."""
_AT_ONCE: Final = 2
"""How many are rendered at a time for one model."""


class Templates:
    """Renders templates in a process of its own, which stays for the next one.

    Args:
        special_tokens: The model's ``bos_token`` and ``eos_token``.
        media_marker: What stands for an image in the prompt.
    """

    def __init__(self, special_tokens: Mapping[str, str], media_marker: str) -> None:
        self._special_tokens = special_tokens
        self._media_marker = media_marker
        module = "lmstudio_server.foreign.templates"
        self._workers = Workers(module, LIMITS, at_once=_AT_ONCE, reused=True)

    async def render(self, request: ChatRequest, template: str, *, constrained: bool) -> str:
        """Return the prompt ``template`` makes of ``request``.

        An answer already begun (a last message of the assistant's) is at the prompt's end, to be
        continued.

        Args:
            request: The conversation.
            template: Jinja source.
            constrained: Whether a schema or grammar holds from the first token on.

        Raises:
            EngineError: the template is wrong, refused the conversation, or takes too much.
        """
        variables = {
            **self._special_tokens,
            **variables_of(request, self._media_marker, constrained=constrained),
        }
        try:
            prompt = await self._workers.run({"template": template, "variables": variables})
        except FailedError as error:
            raise EngineError(
                "The prompt template cannot be used",
                cause=str(error),
                suggestion="Correct the Jinja template, or leave it out to use the model's own.",
            ) from error
        return left_open(prompt)

    async def close(self) -> None:
        """End its process."""
        await self._workers.close()

    def abandon(self) -> None:
        """The same without waiting for it."""
        self._workers.abandon()


def variables_of(request: ChatRequest, media_marker: str, *, constrained: bool) -> dict[str, Any]:
    """Return what a template gets to see of ``request``.

    Args:
        request: The chat.
        media_marker: What stands for an image in the prompt.
        constrained: Whether the output has to follow a grammar.
    """
    variables: dict[str, Any] = {
        "messages": _marked(arguments_as_objects(flattened(request.messages, media_marker))),
        "add_generation_prompt": _wants_answer(request.messages),
    }
    tools = offered_tools(request)
    if tools:
        variables["tools"] = [dict(tool) for tool in tools]
    enable_thinking = thinking(request, constrained=constrained)
    if enable_thinking is not None:
        variables["enable_thinking"] = enable_thinking
    return variables


def _marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``messages`` with the end of an answer that is to be continued marked."""
    last = messages[-1] if messages else {}
    if _wants_answer(messages) or last.get("tool_calls") or not last.get("content"):
        return messages
    return [*messages[:-1], {**last, "content": f"{last['content']}{_CONTINUED}"}]


def left_open(prompt: str) -> str:
    """Return ``prompt`` without the markup that closes an answer yet to be continued."""
    before, found, _ = prompt.rpartition(_CONTINUED)
    return before.replace(_CONTINUED, "") if found else prompt


def _wants_answer(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the answer is yet to begin: a last message of the assistant's is continued."""
    return not messages or messages[-1].get("role") != "assistant"
