"""Planners: downloads that are looked at, and changed, before they start."""

from __future__ import annotations

from types import TracebackType

from typing_extensions import Self, Unpack

from ...errors import LMStudioRuntimeError
from ...program.tracebacks import Short
from ...protocol.runner import AsyncRunner, SyncRunner
from ...timeouts import CallLimits, Limits, get_sync_api_timeout, limits_of
from .data import DownloadFinalizedCallback, DownloadProgressCallback
from .plans import DownloadPlan, PlanChannel

__all__ = ["AsyncDownloadPlanner", "DownloadPlanner"]


class _PlannerBase(Short):
    def __init__(self, channel: PlanChannel) -> None:
        self._channel = channel

    @property
    def plan(self) -> DownloadPlan:
        """The plan as it was when this planner last looked; empty at first."""
        return self._channel.plan

    @property
    def is_ready(self) -> bool:
        """Whether the plan was whole then."""
        return self._channel.ready

    def __repr__(self) -> str:
        state = "ready" if self.is_ready else "planning"
        return f"<{type(self).__name__} {state}: {self.plan.download_size_bytes} bytes>"

    def _check_open(self) -> None:
        if self._channel.committed:
            raise LMStudioRuntimeError("The download of this plan has been started already.")

    @staticmethod
    def _ended() -> LMStudioRuntimeError:
        return LMStudioRuntimeError("This planner was closed; make a new one.")


class DownloadPlanner(_PlannerBase):
    """A download that is looked at, and changed, before it starts.

    Use it in a ``with`` statement: leaving it before ``download`` has returned gives the plan up
    and stops the download. The server keeps what it has, and a new plan goes on from there.

    Example:
        >>> planning = client.repository.create_model_download_planner  # doctest: +SKIP
        >>> with planning("user", "repo") as planner:  # doctest: +SKIP
        ...     print(planner.wait_ready().download_size_bytes)
        ...     planner.download()
    """

    def __init__(self, channel: PlanChannel, client: SyncRunner) -> None:
        super().__init__(channel)
        self._stream = client.open(channel)

    def wait_ready(self, **limits: Unpack[CallLimits]) -> DownloadPlan:
        """Wait until the plan is whole, and return it.

        Args:
            **limits: ``timeout`` and ``idle_timeout``, in seconds; the plan survives them.

        Raises:
            LMStudioServerError: The server cannot make a plan.
        """
        return self._wait_ready(limits_of(limits, get_sync_api_timeout))

    def _wait_ready(self, limits: Limits | None) -> DownloadPlan:
        while not self._channel.ready:
            if self._stream.receive(limits) is None:
                raise self._ended()
        return self._channel.plan

    def select(
        self, node_index: int, option_index: int | None, **limits: Unpack[CallLimits]
    ) -> DownloadPlan:
        """Choose how a model that the plan needs is satisfied, and return the new plan.

        Args:
            node_index: Which of the plan's nodes.
            option_index: Which of the node's ``download_options``; ``None`` takes the model in
                ``already_owned``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; the plan survives them.

        Raises:
            LMStudioValueError: There is no such node or option.
        """
        self._check_open()
        within = limits_of(limits, get_sync_api_timeout)
        self._wait_ready(within)
        self._stream.send(self._channel.select(node_index, option_index))
        return self._wait_ready(within)

    def download(
        self,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Download what the plan says; an interrupt (Ctrl-C) stops the server's download too.

        Args:
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; they stop the download.
        """
        self._check_open()
        within = limits_of(limits, get_sync_api_timeout)
        self._wait_ready(within)
        try:
            self._stream.send(self._channel.commit(on_progress, on_finalize))
            while self._stream.receive(within) is not None:
                pass
        finally:
            self.close()
        self._stream.result()

    def close(self) -> None:
        """Give the plan up, and stop its download if that runs."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncDownloadPlanner(_PlannerBase):
    """A download that is looked at, and changed, before it starts; for asyncio.

    Use it in an ``async with`` statement: leaving it before ``download`` has returned gives the
    plan up and stops the download. The server keeps what it has, and a new plan goes on from there.
    """

    def __init__(self, channel: PlanChannel, client: AsyncRunner) -> None:
        super().__init__(channel)
        self._stream = client.open(channel)

    async def start(self) -> Self:
        """Ask the server for the plan now instead of on first use."""
        await self._stream.start()
        return self

    async def wait_ready(self, **limits: Unpack[CallLimits]) -> DownloadPlan:
        """Wait until the plan is whole, and return it.

        Args:
            **limits: ``timeout`` and ``idle_timeout``, in seconds; the plan survives them.

        Raises:
            LMStudioServerError: The server cannot make a plan.
        """
        return await self._wait_ready(limits_of(limits))

    async def _wait_ready(self, limits: Limits | None) -> DownloadPlan:
        while not self._channel.ready:
            if await self._stream.receive(limits) is None:
                raise self._ended()
        return self._channel.plan

    async def select(
        self, node_index: int, option_index: int | None, **limits: Unpack[CallLimits]
    ) -> DownloadPlan:
        """Choose how a model that the plan needs is satisfied, and return the new plan.

        Args:
            node_index: Which of the plan's nodes.
            option_index: Which of the node's ``download_options``; ``None`` takes the model in
                ``already_owned``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; the plan survives them.

        Raises:
            LMStudioValueError: There is no such node or option.
        """
        self._check_open()
        within = limits_of(limits)
        await self._wait_ready(within)
        await self._stream.send(self._channel.select(node_index, option_index))
        return await self._wait_ready(within)

    async def download(
        self,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Download what the plan says; cancelling the task stops the server's download too.

        Args:
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; they stop the download.
        """
        self._check_open()
        within = limits_of(limits)
        await self._wait_ready(within)
        try:
            await self._stream.send(self._channel.commit(on_progress, on_finalize))
            while await self._stream.receive(within) is not None:
                pass
        finally:
            await self.aclose()
        self._stream.result()

    async def aclose(self) -> None:
        """Give the plan up, and stop its download if that runs."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
