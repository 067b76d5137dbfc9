"""``AsyncPool``: several hosts as one model, for asyncio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from lmstudio_core.plugins.api import LMStudioRuntimeError, LMStudioValueError, Short

from ..scheduling import Job
from .hosts import Host
from .members import Kind, Member, MemberStatus, Missing, members_of
from .running import Running
from .settings import PoolSettings
from .tasks import One, Texts

if TYPE_CHECKING:
    from lmstudio_llm import PredictionResult

__all__ = ["CHUNK", "AsyncPool"]

CHUNK = 256
"""Texts that travel to a host together: one by one they cost more than twice the time."""


class AsyncPool(Short):  # public
    """Several hosts as one model, for asyncio. Use it in ``async with``, or call ``aclose``.

    Args:
        hosts: ``"host:port"`` texts or ``Member`` objects.
        model: The key or identifier of the model on every host; by default the first one loaded.
        kind: ``"llm"``, or ``"embedding"`` for ``embed``.
        retries: How often a row is asked again after a server's error, on another host if possible.
        row_timeout: Seconds that a call may take as a whole; ``None`` for no limit.
        idle_timeout: Seconds of silence after which a host is taken for dead; ``None`` for never.
        hedge: Whether a call that takes long is made on a second host, too (at most 2 % of them).
        missing: What is done about a host without the model: ``"load"`` it there, ``"skip"`` the
            host, or ``"error"``.
        patience: Seconds that work waits when every host is down.

    Raises:
        BatchInputError: An argument cannot be right.

    Example:
        >>> async def main() -> None:
        ...     hosts = [client.api_host]  # or ["gpu1:1234", "gpu2:1234"]
        ...     async with AsyncPool(hosts, model="pocket") as pool:
        ...         questions = ["What is life?", "What is a cat?"]
        ...         answers = await asyncio.gather(*map(pool.respond, questions))
        ...     print(len(answers))
        >>> asyncio.run(main())
        2
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
        self.members: list[Member] = members_of(hosts)
        self.settings: PoolSettings = PoolSettings(
            model, kind, retries, row_timeout, idle_timeout, hedge, missing, patience
        )
        self._made: Running | None = None
        self._closed = False

    @classmethod
    def of(cls, hosts: Iterable[str | Member | dict[str, Any]], settings: PoolSettings) -> Self:
        """The pool that settings mean.

        Args:
            hosts: ``"host:port"`` texts or ``Member`` objects.
            settings: All that ``AsyncPool`` takes besides.
        """
        pool = cls(hosts)
        pool.settings = settings
        return pool

    def __repr__(self) -> str:
        return f"<AsyncPool of {', '.join(member.name for member in self.members)}>"

    @property
    def running(self) -> Running:
        """What does the work; it is made in the event loop in which it is first used."""
        if self._closed:
            raise LMStudioRuntimeError("This pool is closed; make a new one.")
        if self._made is None:
            s = self.settings
            hosts = [Host(m, s.kind, s.model, s.missing, s.share) for m in self.members]
            self._made = Running(hosts, s.policy, s.row_timeout, s.missing)
        return self._made

    async def respond(self, history: Any, **options: Any) -> PredictionResult[Any]:
        """Let the model answer, on the host that has the least to do; see ``AsyncLLM.respond``.

        Where a host is lost or the call is made on a second one, callbacks hear of both.

        Args:
            history: A ``Chat``, a string or a dict with ``messages``.
            **options: Those of ``AsyncLLM.respond``: ``response_format``, ``config``, and so on.

        Returns:
            The result.

        Raises:
            NoHostError: No host takes work; a reason for each.
            LMStudioError: What the host's model raised.
        """
        limited = self._limited(options)
        found: PredictionResult[Any] = await self._one(
            "llm", lambda model: model.respond(history, **limited)
        )
        return found

    async def complete(self, prompt: str, **options: Any) -> PredictionResult[Any]:
        """Let the model continue a text; see ``AsyncLLM.complete`` and ``respond``.

        Args:
            prompt: The text to continue.
            **options: Those of ``AsyncLLM.complete``: ``response_format``, ``config``, and so on.

        Returns:
            The result.

        Raises:
            NoHostError: No host takes work; a reason for each.
            LMStudioError: What the host's model raised.
        """
        limited = self._limited(options)
        found: PredictionResult[Any] = await self._one(
            "llm", lambda model: model.complete(prompt, **limited)
        )
        return found

    async def embed(self, input: str | Iterable[str], **options: Any) -> Any:  # noqa: A002
        """The embedding of one text, or of each of several; see ``AsyncEmbeddingModel.embed``.

        Args:
            input: A string, or an iterable of strings, which are spread over the hosts.
            **options: ``normalize``, ``chunk`` and limits.

        Returns:
            A vector, or a list of vectors in the order of the texts.
        """
        if isinstance(input, str):
            return await self._one("embedding", lambda m: m.embed(input, **self._limited(options)))
        self._check_kind("embedding")
        rows = list(enumerate(input))
        if not rows:
            return []
        texts = Texts(len(rows), options, self.settings.limits)
        size = max(1, min(CHUNK, -(-len(rows) // (2 * len(self.members)))))
        jobs = [Job(rows[at : at + size], texts) for at in range(0, len(rows), size)]
        for job in jobs:
            self.running.submit(job)
        try:
            await texts.future
        except BaseException:
            for job in jobs:
                self.running.withdraw(job)
            raise
        for result in texts.results:
            if isinstance(result, BaseException):
                raise result
        return texts.results

    async def _one(self, kind: Kind, call: Callable[[Any], Awaitable[Any]]) -> Any:
        self._check_kind(kind)
        one = One(call)
        job = Job([None], one)
        self.running.submit(job)
        try:
            return await one.future
        except BaseException:
            if self._made is not None and not self._closed and not job.ended:
                self._made.withdraw(job)
            raise

    def _limited(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**self.settings.limits, **options}

    def _check_kind(self, kind: Kind) -> None:
        if self.settings.kind != kind:
            what = "embeds" if kind == "llm" else "has language models"
            raise LMStudioValueError(f"This pool {what}; make one with kind={kind!r}.")

    def status(self) -> list[MemberStatus]:
        """How each host is doing."""
        return self.running.status()

    async def aclose(self) -> None:
        """Cancel what is in flight and close every connection."""
        if self._made is not None and not self._closed:
            self._closed = True
            await self._made.aclose()
        self._closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
