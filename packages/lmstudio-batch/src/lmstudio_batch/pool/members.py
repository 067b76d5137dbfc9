"""Who is in a pool, as its user says it, and how each is doing, as the pool says it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from ..errors import BatchInputError

__all__ = ["Kind", "Member", "MemberStatus", "Missing", "members_of"]

Kind = Literal["llm", "embedding"]
Missing = Literal["load", "skip", "error"]
"""What is done about a host that has no such model: load it there, leave the host out, or fail."""


@dataclass(frozen=True)
class Member:  # public
    """One host of a pool, or one instance on a host.

    Args:
        host: ``"host:port"``, or a URL.
        model: The key or identifier there; by default that of the pool.
        slots: How much it does at a time; by default the model's parallel predictions there, else 4.
        api_token: Its token; by default that of the environment.

    Example:
        >>> Member("gpu1:1234", model="qwen3-4b:2", slots=8).name
        'gpu1:1234 (qwen3-4b:2)'
    """

    host: str
    model: str | None = None
    slots: int | None = None
    api_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        given: Any = self.host
        if not isinstance(given, str) or not given.strip():
            raise BatchInputError(f"A member's host is 'host:port', not {given!r}.")
        slots: Any = self.slots
        if slots is not None and (
            isinstance(slots, bool) or not isinstance(slots, int) or slots < 1
        ):
            raise BatchInputError(f"slots must be an integer >= 1, got {slots!r}.")

    @property
    def name(self) -> str:
        """The host, and the model where it has one of its own."""
        return self.host if self.model is None else f"{self.host} ({self.model})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, from which ``Member(**data)`` makes it again; with the token."""
        return asdict(self)


@dataclass(frozen=True)
class MemberStatus:  # public
    """How a member of a pool is doing.

    Attributes:
        name: The host, and its model if it has one of its own.
        state: ``"new"`` (not tried yet), ``"up"``, ``"down"`` (tried again later) or ``"aside"``.
        why: Why it is not up; empty if it is.
        slots, busy: How much it does at a time, and does now.
        done, failed, lost: Rows that it answered, answered with an error, and was lost with.
        p50, p95: Seconds that half, and 95 %, of the latest work took; ``None`` if there was none.
        tokens: Tokens that its answers took, prompts included.
        wasted: Those of answers that came second.

    Example:
        >>> with Pool([client.api_host], model="pocket") as pool:
        ...     answer = pool.respond("Hello", config={"maxTokens": 8})
        ...     status = pool.status()[0]
        >>> print(status.state, status.done, status.failed)
        up 1 0
    """

    name: str
    state: str
    why: str
    slots: int
    busy: int
    done: int
    failed: int
    lost: int
    p50: float | None
    p95: float | None
    tokens: int
    wasted: int


def members_of(given: Iterable[str | Member | dict[str, Any]]) -> list[Member]:
    """The members that a list of hosts means.

    Raises:
        BatchInputError: There is none, one is no host, or two are the same.
    """
    listed: Any = given
    if isinstance(listed, (str, bytes)):
        raise BatchInputError(f"hosts is a list of 'host:port', not the string {listed!r}.")
    members: list[Member] = []
    for one in cast("Iterable[Any]", listed):
        if isinstance(one, Member):
            members.append(one)
        elif isinstance(one, dict):
            members.append(Member(**cast("dict[str, Any]", one)))
        elif isinstance(one, str):
            # What a client says of a server that was found has the token with it.
            members.append(Member(str(one), api_token=getattr(one, "api_token", None)))
        else:
            raise BatchInputError(f"A host is 'host:port' or a Member, not {type(one).__name__}.")
    names = [member.name for member in members]
    if not names:
        raise BatchInputError("A pool needs at least one host, such as ['localhost:1234'].")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BatchInputError(
            f"{twice[0]} is listed twice. Name each host, or instance on one, once."
        )
    return members
