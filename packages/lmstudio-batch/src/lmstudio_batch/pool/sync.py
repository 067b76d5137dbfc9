"""``Pool``: several hosts as one model. It is ``AsyncPool`` in an event loop of its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import Self

from lmstudio_core.plugins.api import LMStudioRuntimeError, Short

from .aio import AsyncPool
from .members import Kind, Member, MemberStatus, Missing

if TYPE_CHECKING:
    from lmstudio_llm import PredictionResult

__all__ = ["LoopThread", "Pool"]

R = TypeVar("R")


class LoopThread:
    """An event loop in a thread of its own, which ends with ``close``."""

    def __init__(self, name: str) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        # A daemon: a program that forgets to close it shall end nevertheless.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """What a coroutine returns; whatever interrupts the wait cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop, and wait for its thread."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()


class Pool(Short):  # public
    """Several hosts as one model. Use it in ``with``, or call ``close``.

    Any number of threads may use it at a time; each call runs on the host that has the least to do.

    Args:
        hosts: ``"host:port"`` texts or ``Member`` objects.
        model: The key or identifier of the model on every host; by default the first one loaded.
        kind: ``"llm"``, or ``"embedding"`` for ``embed``.
        retries, row_timeout, idle_timeout, hedge, missing, patience: As of ``AsyncPool``.

    Raises:
        BatchInputError: An argument cannot be right.

    Example:
        >>> hosts = [client.api_host]  # or ["gpu1:1234", "gpu2:1234"]
        >>> with Pool(hosts, model="pocket") as pool:
        ...     print(pool.respond("What is the capital of France?"))
    """

    def __init__(
        self,
        hosts: Iterable[str | Member | dict[str, Any]],
        *,
        model: str | None = None,
        kind: Kind = "llm",
        retries: int = 1,
        row_timeout: float | None = None,
        idle_timeout: float | None = 60.0,
        hedge: bool = True,
        missing: Missing = "load",
        patience: float = 300.0,
    ) -> None:
        self._pool = AsyncPool(
            hosts,
            model=model,
            kind=kind,
            retries=retries,
            row_timeout=row_timeout,
            idle_timeout=idle_timeout,
            hedge=hedge,
            missing=missing,
            patience=patience,
        )
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()  # two threads may make the first call
        self._closed = False

    def __repr__(self) -> str:
        return repr(self._pool).replace("AsyncPool", "Pool")

    def respond(self, history: Any, **options: Any) -> PredictionResult[Any]:
        """Let the model answer; see ``LLM.respond`` and ``AsyncPool.respond``.

        Args:
            history: A ``Chat``, a string or a dict with ``messages``.
            **options: Those of ``LLM.respond``: ``response_format``, ``config``, and so on.

        Returns:
            The result.

        Raises:
            NoHostError: No host takes work; a reason for each.
            LMStudioError: What the host's model raised.
        """
        return self._run(self._pool.respond(history, **options))

    def complete(self, prompt: str, **options: Any) -> PredictionResult[Any]:
        """Let the model continue a text; see ``LLM.complete`` and ``respond``.

        Args:
            prompt: The text to continue.
            **options: Those of ``LLM.complete``: ``response_format``, ``config``, and so on.

        Returns:
            The result.

        Raises:
            NoHostError: No host takes work; a reason for each.
            LMStudioError: What the host's model raised.
        """
        return self._run(self._pool.complete(prompt, **options))

    def embed(self, input: str | Iterable[str], **options: Any) -> Any:  # noqa: A002
        """The embedding of one text, or of each of several; see ``EmbeddingModel.embed``.

        Args:
            input: A string, or an iterable of strings, which are spread over the hosts.
            **options: ``normalize``, ``chunk`` and limits.

        Returns:
            A vector, or a list of vectors in the order of the texts.
        """
        return self._run(self._pool.embed(input, **options))

    def status(self) -> list[MemberStatus]:
        """How each host is doing."""

        async def status() -> list[MemberStatus]:
            return self._pool.status()

        return self._run(status())

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        with self._lock:
            if self._closed:
                work.close()
                raise LMStudioRuntimeError("This pool is closed; make a new one.")
            if self._thread is None:
                self._thread = LoopThread("lmstudio-pool")
        return self._thread.run(work)

    def close(self) -> None:
        """Cancel what is in flight and close every connection."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.run(self._pool.aclose())
            thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
