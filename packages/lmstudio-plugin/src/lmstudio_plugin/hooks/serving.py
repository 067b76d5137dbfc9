"""Keeping a hook open: requests in, answers out, each request a task that harms no other."""

from __future__ import annotations

import asyncio
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from traceback import format_tb
from typing import Any, ClassVar, Final

from lmstudio_agent.threads import in_thread
from lmstudio_core.lenient import error_text

from ..data import HookRequest
from ..operations import HookName
from .blocking import Blocking

__all__ = ["MAX_RUNNING", "HookServer", "SendMessage", "TaskServer", "called", "wire_error"]

logger: Final = logging.getLogger("lmstudio.plugin")

SendMessage = Callable[[Mapping[str, Any]], Awaitable[Any]]
MAX_RUNNING: Final = 64
"""How many calls, sessions and tasks of a hook there are at a time; a flood is refused beyond it."""


def wire_error(title: str, error: BaseException) -> dict[str, Any]:
    """An error as it goes to the server. Users see the title alone, so the cause stands in it, too."""
    cause = error_text(error, named=True)
    whole = f"{title} ({cause})"
    stack = "".join(format_tb(error.__traceback__))
    return {"title": whole, "rootTitle": whole, "cause": cause, "stack": stack}


async def called(function: Callable[..., Any], ctl: Any, *more: Any) -> Any:
    """What a function of the plugin's gives; one that is not async runs in a thread.

    There, the controller's async methods wait instead of being awaited.
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        given: Any = function(ctl, *more)
    else:
        blocking = Blocking(ctl, asyncio.get_running_loop())
        given = await in_thread(lambda: function(blocking, *more))
    return await given if inspect.isawaitable(given) else given


class HookServer(ABC):
    """One hook of a plugin: opened, and its requests answered until the server closes it.

    Args:
        plugin_name: The plugin, in messages.
        hook_impl: The plugin's function.
        plugin_config_schema: What its settings are made into.
        global_config_schema: The same of those for all chats.
    """

    hook: ClassVar[HookName]

    def __init__(
        self,
        plugin_name: str,
        hook_impl: Callable[..., Any],
        plugin_config_schema: Any,
        global_config_schema: Any,
    ) -> None:
        self.plugin_name = plugin_name
        self.hook_impl = hook_impl
        self.plugin_config_schema = plugin_config_schema
        self.global_config_schema = global_config_schema
        self.session: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._send: SendMessage = _unsent

    async def process_requests(self, session: Any, notify_ready: Callable[[], Any]) -> None:
        """Open the hook, say so, and answer what the server asks, until it asks no more.

        Args:
            session: ``client.plugins`` of the plugin's own client.
            notify_ready: Called once the hook is open.
        """
        self.session = session
        async with session.open_hook(self.hook) as stream:
            self._send = stream.send
            notify_ready()
            try:
                async for request in stream:
                    try:
                        await self.take(request)
                    except Exception:  # the next request may be a good one
                        logger.exception("%s: a request was not understood", self)
            finally:
                await self._end_tasks()

    def __str__(self) -> str:
        return f"{self.plugin_name}: {self.hook}"

    @abstractmethod
    async def take(self, request: HookRequest) -> None:
        """Deal with a request, without waiting for what may last."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something in a task of its own; it ends with the hook."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def send(self, packet: Mapping[str, Any]) -> None:
        """Send an answer."""
        await self._send(packet)


async def _unsent(_: Mapping[str, Any]) -> None:
    """Before the hook is open there is nobody to tell."""


class TaskServer(HookServer):
    """A hook whose requests are tasks with an id: preprocessors, loops and generators."""

    request_type: ClassVar[str]
    what: ClassVar[str]

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def take(self, request: HookRequest) -> None:
        """Start the task, or abort one."""
        task_id = request.task_id
        if task_id is None:
            logger.warning("%s: a request without a task was left out: %s", self, request.type)
        elif request.type == "abort":
            # Answered at once, whether the task runs or not: the server waits for it.
            if (task := self._running.pop(task_id, None)) is not None:
                task.cancel()
            await self.send({"type": "aborted", "taskId": task_id})
        elif request.type == self.request_type:
            await self._begin(task_id, request)
        else:
            logger.warning("%s: a request of an unknown type was left out: %s", self, request.type)

    async def _begin(self, task_id: str, request: HookRequest) -> None:
        if task_id in self._running or len(self._running) >= MAX_RUNNING:
            why = "is running already" if task_id in self._running else "is one too many"
            problem = RuntimeError(f"the task {task_id} {why}; at most {MAX_RUNNING} run at a time")
            await self.send(self._failed(task_id, problem))
            return
        self._running[task_id] = self.start(self._run(task_id, request))

    async def _run(self, task_id: str, request: HookRequest) -> None:
        mine = asyncio.current_task()
        try:
            packet = {"type": "complete", "taskId": task_id, **await self.answer(request)}
        except Exception as error:
            logger.exception("%s failed", self)
            packet = self._failed(task_id, error)
        # An aborted task has been answered already, whatever its function made of the cancellation.
        if self._running.get(task_id) is mine:
            del self._running[task_id]
            await self.send(packet)

    def is_running(self, task_id: str | None) -> bool:
        """Whether the task has neither ended nor been aborted."""
        return task_id in self._running

    def _failed(self, task_id: str, error: BaseException) -> dict[str, Any]:
        title = f"{self.what} of the plugin {self.plugin_name!r} failed"
        return {"type": "error", "taskId": task_id, "error": wire_error(title, error)}

    @abstractmethod
    async def answer(self, request: HookRequest) -> Mapping[str, Any]:
        """Do what is asked; returns what ``complete`` holds."""
