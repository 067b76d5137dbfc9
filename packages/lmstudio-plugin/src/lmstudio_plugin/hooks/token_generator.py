"""Generators: the plugin writes in the place of a model."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from lmstudio_agent.threads import in_thread
from lmstudio_llm.chat import Chat

from ..data import HookRequest
from ..errors import LMStudioPluginRuntimeError
from ..operations import HookName
from .blocking import Blocking
from .blocks import told
from .common import HookController, TGlobalConfigSchema, TPluginConfigSchema
from .serving import TaskServer, called, wire_error

__all__ = ["TokenGeneratorController", "TokenGeneratorHook", "run_token_generator"]

ReasoningType = Literal["none", "reasoning", "reasoningStartTag", "reasoningEndTag"]


class TokenGeneratorController(
    HookController[HookRequest, TPluginConfigSchema, TGlobalConfigSchema]
):  # public
    """What a generator is given, and where it writes."""

    _send: Callable[[Mapping[str, Any]], Awaitable[Any]] | None = None
    _calls = 0

    @property
    def task_id(self) -> str | None:
        """The task."""
        return self.request.task_id

    @property
    def history(self) -> Chat:
        """The chat to be answered."""
        return Chat.from_history(self.request.input)

    @property
    def tool_definitions(self) -> Sequence[Mapping[str, Any]]:
        """The tools that it may ask for, in the server's form."""
        return self.request.tool_definitions or ()

    async def fragment(
        self,
        content: str,
        *,
        tokens: int | None = None,
        reasoning: ReasoningType | bool | None = None,
        from_draft_model: bool | None = None,
        structural: bool | None = None,
    ) -> None:
        """Write a piece of the answer.

        Args:
            content: The text.
            tokens: How many tokens it is.
            reasoning: Whether it is reasoning.
            from_draft_model: Whether a draft model guessed it.
            structural: Whether it only marks the structure.
        """
        named = {True: "reasoning", False: "none"}
        kind = named[reasoning] if isinstance(reasoning, bool) else reasoning
        options = told(
            token_count=tokens,
            contains_drafted=from_draft_model,
            reasoning_type=kind,
            is_structural=structural,
        )
        await self._packet("fragmentGenerated", content=content, opts=options)

    async def tool_call_started(self, call_id: str | None = None) -> None:
        """A tool call begins."""
        await self._packet("toolCallGenerationStarted", **told(tool_call_id=call_id))

    async def tool_call_name(self, name: str) -> None:
        """Which tool it is."""
        await self._packet("toolCallGenerationNameReceived", toolName=name)

    async def tool_call_arguments(self, content: str) -> None:
        """A piece of its arguments' JSON text."""
        await self._packet("toolCallGenerationArgumentFragmentGenerated", content=content)

    async def tool_call_ended(self, request: Mapping[str, Any]) -> None:
        """The whole request: ``{"type": "function", "name": …, "arguments": {…}, "id": …}``."""
        await self._packet("toolCallGenerationEnded", toolCallRequest=dict(request))

    async def tool_call_failed(self, error: BaseException | str) -> None:
        """The tool call could not be made."""
        problem = RuntimeError(error) if isinstance(error, str) else error
        packet = wire_error("The tool call could not be generated", problem)
        await self._packet("toolCallGenerationFailed", error=packet)

    async def tool_call(
        self, name: str, arguments: Mapping[str, Any], call_id: str | None = None
    ) -> None:
        """A tool call from its beginning to its end."""
        self._calls += 1
        own = call_id or f"{self.task_id}-{self._calls}"
        await self.tool_call_started(own)
        await self.tool_call_name(name)
        await self.tool_call_arguments(json.dumps(arguments))
        call = {"type": "function", "name": name, "arguments": dict(arguments), "id": own}
        await self.tool_call_ended(call)

    def write_to(self, send: Callable[[Mapping[str, Any]], Awaitable[Any]] | None) -> None:
        """Where packets go; for whoever serves the hook."""
        self._send = send

    async def _packet(self, kind: str, **more: Any) -> None:
        if self._send is None:
            raise LMStudioPluginRuntimeError("This generator writes for nobody any more.")
        await self._send({"type": kind, "taskId": self.task_id, **more})


TokenGeneratorHook = Callable[[TokenGeneratorController[Any, Any]], Awaitable[None]]


class TokenGenerator(TaskServer):
    """Lets the plugin's function write."""

    hook: ClassVar[HookName] = "generator"
    request_type: ClassVar[str] = "generate"
    what: ClassVar[str] = "The generator"

    async def answer(self, request: HookRequest) -> Mapping[str, Any]:
        """All that it writes, to the end."""
        ctl = TokenGeneratorController[Any, Any](
            self.session, request, self.plugin_config_schema, self.global_config_schema
        )
        mine = asyncio.current_task()

        async def send(packet: Mapping[str, Any]) -> None:
            if self._running.get(request.task_id or "") is mine:  # else it was aborted
                await self.send(packet)

        ctl.write_to(send)
        try:
            # The official form takes the controller alone; ours the chat as well.
            more = (ctl.history,) if _takes_chat(self.hook_impl) else ()
            await _written(self.hook_impl, ctl, more)
        finally:
            ctl.write_to(None)
        return {}


def _takes_chat(function: Callable[..., Any]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wanted = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    return len(wanted) > 1


async def _written(
    function: Callable[..., Any], ctl: TokenGeneratorController[Any, Any], more: tuple[Any, ...]
) -> None:
    """Run the function; what it yields or returns as text is written."""
    if inspect.isgeneratorfunction(function):
        blocking: Any = Blocking(ctl, asyncio.get_running_loop())

        def write() -> None:
            for text in function(blocking, *more):
                blocking.fragment(_text(text))

        await in_thread(write)
        return
    given = await called(function, ctl, *more)
    if hasattr(given, "__aiter__"):
        async for text in given:
            await ctl.fragment(_text(text))
    elif given is not None:
        await ctl.fragment(_text(given))


def _text(given: object) -> str:
    text = getattr(given, "content", given)  # fragments of other predictions
    if not isinstance(text, str):
        raise LMStudioPluginRuntimeError(
            f"a generator yields text or fragments, not {type(given).__name__}"
        )
    return text


async def run_token_generator(
    plugin_name: str,
    hook_impl: TokenGeneratorHook,
    plugin_config_schema: Any,
    global_config_schema: Any,
    session: Any,
    notify_ready: Callable[[], Any],
) -> None:
    """Open the hook and answer, until the server closes it."""
    server = TokenGenerator(plugin_name, hook_impl, plugin_config_schema, global_config_schema)
    await server.process_requests(session, notify_ready)
