"""Tools providers: sessions with the plugin's tools, and the calls in them."""

# The official beta's names for what both modules share begin with an underscore.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar, cast

from lmstudio_agent.threads import in_thread
from lmstudio_core.drivers.loops import in_time
from lmstudio_core.timeouts import Limits
from lmstudio_llm.tools import Tool, resolve_tools

from ..data import HookRequest
from ..errors import LMStudioPluginRuntimeError
from ..operations import HookChannel, HookName
from .common import HookController, ServerRequestError, TGlobalConfigSchema, TPluginConfigSchema
from .prompt_preprocessor import ChannelEvent
from .results import encoded_result
from .serving import MAX_RUNNING, HookServer, called, logger, wire_error
from .tool_contexts import (
    _LMS_TOOL_CALL_ASYNC,
    _LMS_TOOL_CALL_SYNC,
    CURRENT,
    AsyncToolCallContext,
    ToolCall,
    ToolCallContext,
    get_tool_call_context,
    get_tool_call_context_async,
)
from .tool_contexts import _BaseToolCallContext as _BaseToolCallContext

__all__ = [
    "AsyncToolCallContext",
    "ToolCallContext",
    "ToolsProviderController",
    "ToolsProviderHook",
    "get_tool_call_context",
    "get_tool_call_context_async",
    "run_tools_provider",
]

MAX_WAITING: Final = 1024
"""How many calls there are at a time, those included that wait for their turn; 64 run."""
LISTING_SECONDS: Final = 20.0
"""How long a plugin may take to list its tools."""


class ToolsProviderController(
    HookController[HookRequest, TPluginConfigSchema, TGlobalConfigSchema]
):  # public
    """What a tools provider is given."""

    @property
    def session_id(self) -> str | None:
        """The session that the tools are for."""
        return self.request.session_id


ToolsProviderHook = Callable[[ToolsProviderController[Any, Any]], Awaitable[Iterable[Any]]]


@dataclass
class ToolCallHandler:
    """A session of the server's: its tools, once they are listed, and the calls that run."""

    identifier: str
    ctl: ToolsProviderController[Any, Any] | None = None
    tools: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    calls: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"])
    listing: asyncio.Task[None] | None = None


class ToolsProvider(HookServer):
    """Lists the plugin's tools for each session, and calls them."""

    hook: ClassVar[HookName] = "toolsProvider"

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._sessions: dict[str, ToolCallHandler] = {}
        self._waiting = 0
        self._turn = asyncio.Semaphore(MAX_RUNNING)

    async def take(self, request: HookRequest) -> None:
        """Deal with a request of the server's."""
        session_id = request.session_id
        if session_id is None:
            logger.warning("%s: a request without a session was left out: %s", self, request.type)
            return
        match request.type:
            case "initSession":
                await self._init(session_id, request)
            case "callTool":
                await self._call(session_id, request)
            case "abortToolCall":
                session = self._sessions.get(session_id)
                if session and (task := session.calls.pop(request.call_id or "", None)):
                    task.cancel()
            case "discardSession":
                self._discard(self._sessions.pop(session_id, None))
            case _:
                logger.warning(
                    "%s: a request of an unknown type was left out: %s", self, request.type
                )

    @staticmethod
    def _discard(session: ToolCallHandler | None) -> None:
        if session is None:
            return
        calls = list(session.calls.values())
        session.calls.clear()  # before they hear of it: a call that is not listed says no more
        for task in (*calls, session.listing):
            if task is not None:
                task.cancel()

    # -- listing ---------------------------------------------------------------------------------

    async def _init(self, session_id: str, request: HookRequest) -> None:
        if session_id in self._sessions or len(self._sessions) >= MAX_RUNNING:
            why = "is open already" if session_id in self._sessions else "is one too many"
            error = RuntimeError(f"the session {session_id} {why}; at most {MAX_RUNNING} are open")
            await self._init_failed(session_id, error)
            return
        session = self._sessions[session_id] = ToolCallHandler(session_id)
        session.listing = self.start(self._list(session, request))

    async def _list(self, session: ToolCallHandler, request: HookRequest) -> None:
        try:
            session.ctl = ctl = ToolsProviderController[Any, Any](
                self.session, request, self.plugin_config_schema, self.global_config_schema
            )
            within = Limits(timeout=LISTING_SECONDS)
            given = await in_time(called(self.hook_impl, ctl), within, "the list of tools")
            session.tools = {tool.name: tool for tool in resolve_tools(_as_list(given))}
        except Exception as error:  # noqa: BLE001 - the plugin's own code: the server is told
            logger.exception("%s: the tools could not be listed", self)
            if self._sessions.pop(session.identifier, None) is session:
                await self._init_failed(session.identifier, error)
            return
        definitions = [tool.definition() for tool in session.tools.values()]
        if self._sessions.get(session.identifier) is session:
            packet = {"type": "sessionInitialized", "sessionId": session.identifier}
            await self.send({**packet, "toolDefinitions": definitions})

    async def _init_failed(self, session_id: str, error: BaseException) -> None:
        title = f"The plugin {self.plugin_name!r} could not list its tools"
        packet = {"type": "sessionInitializationFailed", "sessionId": session_id}
        await self.send({**packet, "error": wire_error(title, error)})

    # -- calling ---------------------------------------------------------------------------------

    async def _call(self, session_id: str, request: HookRequest) -> None:
        session, call_id = self._sessions.get(session_id), request.call_id
        if session is None or call_id is None:
            return  # the session is discarded: nobody waits
        if call_id in session.calls or self._waiting >= MAX_WAITING:
            why = "runs already" if call_id in session.calls else "is one too many"
            await self._failed(session, call_id, request, RuntimeError(f"the call {call_id} {why}"))
            return
        session.calls[call_id] = self.start(self._run(session, call_id, request))

    async def _run(self, session: ToolCallHandler, call_id: str, request: HookRequest) -> None:
        async def send(packet: Mapping[str, Any]) -> None:
            if call_id in session.calls:  # else it was aborted, or the session discarded
                await self.send(packet)

        self._waiting += 1
        try:
            async with self._turn:
                given = await self._result(session, call_id, request, send)
            result = encoded_result(given)
        except Exception as error:  # noqa: BLE001 - the plugin's own code: the server is told
            logger.exception("%s: the tool %r failed", self, request.tool_name)
            if call_id in session.calls:
                await self._failed(session, call_id, request, error)
        else:
            packet = {
                "type": "toolCallComplete",
                "sessionId": session.identifier,
                "callId": call_id,
            }
            await send({**packet, "result": result})
        finally:
            self._waiting -= 1
            session.calls.pop(call_id, None)

    async def _result(
        self, session: ToolCallHandler, call_id: str, request: HookRequest, send: Any
    ) -> Any:
        tool = session.tools.get(request.tool_name or "")
        ctl = session.ctl
        if tool is None or ctl is None:
            known = ", ".join(session.tools) or "none"
            raise ServerRequestError(f"there is no such tool; it has: {known}")
        call = tool.prepare(request.parameters)

        def enter(context: AsyncToolCallContext | ToolCallContext) -> None:
            def is_over() -> bool:
                return call_id not in session.calls

            settings = (ctl.plugin_config, ctl.global_config, ctl.working_path)
            CURRENT.set(ToolCall(context, *settings, is_over))

        if tool.is_async:
            context = AsyncToolCallContext(session.identifier, call_id, send)
            _LMS_TOOL_CALL_ASYNC.set(context)
            enter(context)
            given = await _collected(call())
            if (current := CURRENT.get()) is not None:
                await current.all_told()
            return given
        blocking = ToolCallContext(session.identifier, call_id, send)
        _LMS_TOOL_CALL_SYNC.set(blocking)
        enter(blocking)
        given = await in_thread(lambda: _listed(call()))
        return await given if inspect.isawaitable(given) else given

    async def _failed(
        self, session: ToolCallHandler, call_id: str, request: HookRequest, error: BaseException
    ) -> None:
        title = f"The tool {request.tool_name!r} of the plugin {self.plugin_name!r} failed"
        packet = {"type": "toolCallError", "sessionId": session.identifier, "callId": call_id}
        await self.send({**packet, "error": wire_error(title, error)})


def _as_list(given: Any) -> list[Any]:
    kind = cast("type[Any]", type(given))
    if issubclass(kind, (str, bytes, Mapping)) or not issubclass(kind, Iterable):
        raise LMStudioPluginRuntimeError(
            f"it returned {kind.__name__}; a tools provider returns a list of tools"
        )
    return list(given)


async def _collected(given: Any) -> Any:
    """What an async tool gives; of an asynchronous generator, the list of what it yields."""
    if hasattr(given, "__aiter__"):
        return [item async for item in given]
    return await given if inspect.isawaitable(given) else given


def _listed(given: Any) -> Any:
    return list(given) if inspect.isgenerator(given) else given


async def run_tools_provider(
    plugin_name: str,
    hook_impl: ToolsProviderHook,
    plugin_config_schema: Any,
    global_config_schema: Any,
    session: Any,
    notify_ready: Callable[[], Any],
) -> None:
    """Open the hook and answer, until the server closes it."""
    server = ToolsProvider(plugin_name, hook_impl, plugin_config_schema, global_config_schema)
    await server.process_requests(session, notify_ready)


class ProvideToolsDiscardSessionEvent(ChannelEvent[str]):
    """The server discards the session of that id."""


class ProvideToolsInitSessionEvent(ChannelEvent[HookRequest]):
    """The server wants the tools."""


class ProvideToolsCallToolEvent(ChannelEvent[HookRequest]):
    """The server calls a tool."""


class ProvideToolsAbortCallEvent(ChannelEvent[HookRequest]):
    """The server aborts a call."""


PromptPreprocessingRxEvent = (
    ProvideToolsDiscardSessionEvent
    | ProvideToolsInitSessionEvent
    | ProvideToolsCallToolEvent
    | ProvideToolsAbortCallEvent
)
T = TypeVar("T")


class ToolsProviderEndpoint(HookChannel):
    """The channel on which a tools provider is asked."""

    _API_ENDPOINT = "setToolsProvider"
    _NOTICE_PREFIX = "Providing tools"

    def __init__(self) -> None:
        super().__init__("toolsProvider")
