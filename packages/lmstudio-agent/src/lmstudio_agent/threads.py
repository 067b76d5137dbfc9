"""Threads for tools: some at a time, in order, and left behind when their time is over."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from .calls import PendingCall

__all__ = ["ToolThreads", "in_thread", "workers"]

_numbers = itertools.count(1)


def workers(max_parallel: int | None) -> int:
    """How many tools may run at the same time; ``None`` fits this machine's processors."""
    return max_parallel or (os.cpu_count() or 1) + 4


_IDLE_SECONDS = 10.0
_idle: list[SimpleQueue[Callable[[], None]]] = []
"""The boxes of threads that wait for work; appending and popping are atomic."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # the child has none of the threads


def _start(target: Callable[[], None]) -> None:
    """Run ``target`` in a thread that has nothing to do, or in a new one.

    They are daemons, unlike an executor's: a tool that hangs must not keep the program from ending.
    """
    try:
        box = _idle.pop()
    except IndexError:
        box = SimpleQueue[Callable[[], None]]()
        name = f"lmstudio-tool-{next(_numbers)}"
        threading.Thread(target=_wait_for_work, args=(box,), name=name, daemon=True).start()
    box.put(target)


def _wait_for_work(box: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        try:
            box.get(timeout=_IDLE_SECONDS)()
        except Empty:
            try:
                _idle.remove(box)
            except ValueError:  # it was taken this very moment, or this thread was never idle
                continue
            return
        _idle.append(box)


class ToolThreads:
    """Runs calls for a synchronous interpreter, which collects them as they end.

    Args:
        run: Makes a call; called in a thread, with the context variables of ``submit``'s caller.
    """

    def __init__(self, run: Callable[[PendingCall], None]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._queue: deque[tuple[contextvars.Context, PendingCall]] = deque()
        self._ended: SimpleQueue[tuple[PendingCall, BaseException | None]] = SimpleQueue()
        self._waited_for: list[PendingCall] = []
        self._given_up: set[PendingCall] = set()
        self._working = 0

    def __bool__(self) -> bool:
        """Whether there are calls that nobody collected yet."""
        return bool(self._waited_for)

    def submit(self, call: PendingCall, limit: int) -> None:
        """Run the call as soon as fewer than ``limit`` run."""
        self._waited_for.append(call)
        with self._lock:
            self._queue.append((contextvars.copy_context(), call))
            spawn = self._working < limit
            self._working += spawn
        if spawn:
            _start(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                try:
                    context, call = self._queue.popleft()
                except IndexError:
                    self._working -= 1
                    return
            error: BaseException | None = None
            try:
                context.run(self._run, call)
            except BaseException as raised:  # noqa: BLE001 - raised again by collect()
                error = raised
            self._ended.put((call, error))
            with self._lock:
                if call in self._given_up:  # another thread has taken this one's place
                    return

    def collect(self, *, wait: bool) -> PendingCall | None:
        """A call that ended or whose time is over; ``None`` if there is none (yet)."""
        while self._waited_for:
            try:
                call, error = self._ended.get(wait, self._patience() if wait else None)
            except Empty:
                late = self._late()
                if late is None and wait:
                    continue
                return late
            if error is not None:
                raise error
            if call in self._waited_for:  # else its time was over before
                self._waited_for.remove(call)
                return call
        return None

    def _patience(self) -> float | None:
        """Seconds until the next call's time is over; one that waits for its turn has it all."""
        now = time.perf_counter()
        left = [
            (now if call.started is None else call.started) + call.timeout - now
            for call in self._waited_for
            if call.timeout is not None
        ]
        return max(0.0, min(left)) if left else None

    def _late(self) -> PendingCall | None:
        now = time.perf_counter()
        for call in self._waited_for:
            if call.timeout is None or call.started is None or call.is_async:
                continue
            if now >= call.started + call.timeout:
                call.time_out()
                self._waited_for.remove(call)
                self._replace_worker(call)
                return call
        return None

    def _replace_worker(self, call: PendingCall) -> None:
        """The thread of a call that was given up may never come back for the next one."""
        with self._lock:
            self._given_up.add(call)
            spawn = bool(self._queue)
            self._working += spawn - 1
        if spawn:
            _start(self._work)

    def abandon(self) -> None:
        """Start none of those that wait, and wait for none of those that run.

        Without the lock, which the code below a signal handler may hold: each step is atomic.
        """
        self._queue.clear()
        self._waited_for.clear()


def in_thread(function: Callable[[], Any]) -> asyncio.Future[Any]:
    """Run a function in a thread of its own; unlike an executor's, nobody ever waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = context.run(function)
        except BaseException as raised:  # noqa: BLE001 - the future raises it
            error = raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits

    _start(work)
    return future
