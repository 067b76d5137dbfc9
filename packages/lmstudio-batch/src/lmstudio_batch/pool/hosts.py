"""One member's connection: its client, its model's handle, and how it is found to be well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lmstudio_core.plugins.api import AsyncClient, LMStudioModelNotFoundError, LMStudioServerError

from .members import Kind, Member, Missing

__all__ = ["Host", "Model"]

_SLOTS: Final = 4
"""What LM Studio loads models for that are loaded on demand."""

_CHUNKS: Final = 2
"""Streams of texts that a host embeds at a time: one more than it works on, each has dozens in flight."""

_CHECK_SECONDS: Final = 10.0
"""For each question to a host whether it is well; a load is not limited by it."""


@dataclass(frozen=True)
class Model:
    """What hosts have to agree on."""

    key: str
    quantization: str
    context_length: int

    def __str__(self) -> str:
        parts = [self.key, self.quantization, f"context {self.context_length:,}"]
        return ", ".join(part for part in parts if part)


class Host:
    """A member that is connected to.

    Attributes:
        handle: Its model, once it was found.
        model: What that is.
        tokens, wasted: See ``MemberStatus``.
    """

    def __init__(
        self, member: Member, kind: Kind, model: str | None, missing: Missing, share: int
    ) -> None:
        self.member = member
        self.client: AsyncClient = AsyncClient(member.host, member.api_token)
        self.handle: Any = None
        self.model: Model | None = None
        self.tokens: int = 0
        self.wasted: int = 0
        self._kind = kind
        self._key = member.model or model
        self._missing = missing
        self._share = share

    @property
    def connected(self) -> bool:
        """Whether work would go out on a connection that stands."""
        return self.client.is_connected(self._kind)

    async def connect(self) -> None:
        """Open the connection, if it is not."""
        if not self.connected:
            await self.client.connect(self._kind)

    async def find(self) -> int:
        """Connect and find the model.

        Returns:
            Its slots.

        Raises:
            LMStudioModelNotFoundError: It is not there, and not to be loaded.
            LMStudioError: The host cannot be reached, or refuses.
        """
        await self.client.connect(self._kind)
        namespace: Any = self.client.capability(self._kind)
        loaded: list[Any] = await namespace.list_loaded(timeout=_CHECK_SECONDS)
        handle = await self._loaded(loaded)
        if handle is None:
            if self._missing != "load" or self._key is None:
                there = ", ".join(one.identifier for one in loaded) or "none"
                raise LMStudioModelNotFoundError(
                    f"The model {self._key or '(any)'} is not loaded there; loaded: {there}."
                )
            handle = await namespace.model(self._key)
        self.handle = handle
        info = await handle.get_info(timeout=_CHECK_SECONDS)
        quantization = getattr(info.quantization, "name", "") or ""
        self.model = Model(info.model_key, quantization, info.context_length)
        return self.member.slots or max(1, await self._slots(handle) // self._share)

    async def _loaded(self, loaded: list[Any]) -> Any:
        """The handle of the model, if it is among those loaded."""
        for handle in loaded:
            if self._key is None or handle.identifier == self._key:
                return handle
        for handle in loaded:
            if (await handle.get_info(timeout=_CHECK_SECONDS)).model_key == self._key:
                return handle
        return None

    async def _slots(self, handle: Any) -> int:
        if self._kind == "embedding":
            return _CHUNKS * self._share
        try:
            config = await handle.get_load_config(timeout=_CHECK_SECONDS)
        except LMStudioServerError:  # older servers do not tell
            return _SLOTS
        found = getattr(config, "max_parallel_predictions", None)
        return found if isinstance(found, int) and found > 0 else _SLOTS

    def count(self, result: Any, *, first: bool) -> None:
        """Add up what an answer cost."""
        stats = getattr(result, "stats", None)
        tokens = getattr(stats, "total_tokens_count", None) or 0
        if first:
            self.tokens += tokens
        else:
            self.wasted += tokens
