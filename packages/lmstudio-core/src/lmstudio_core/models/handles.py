"""Handles: loaded models that a program works with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, cast, overload

from ..protocol.operations import Batch
from ..runner import AsyncRunner, SyncRunner
from . import operations as ops
from .kind import ModelKind

__all__ = ["AsyncModelHandle", "ModelHandleBase", "SyncModelHandle"]


class ModelHandleBase:
    """What both handles share: which model, and how it prints."""

    _kind: ClassVar[ModelKind]

    def __init__(self, model_identifier: str) -> None:
        self.identifier = model_identifier

    def __repr__(self) -> str:
        return f"{type(self).__name__}(identifier={self.identifier!r})"


class SyncModelHandle(ModelHandleBase):
    """A loaded model.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.
    """

    def __init__(self, model_identifier: str, client: SyncRunner) -> None:
        super().__init__(model_identifier)
        self._client = client

    def unload(self) -> None:
        """Unload this model. Raises ``LMStudioModelNotFoundError`` if it is not loaded."""
        self._client.run(ops.unload(self._kind, self.identifier))

    def get_info(self) -> Any:
        """What the server knows of this model; raises ``LMStudioModelNotFoundError`` if it is gone."""
        return self._client.run(ops.get_model_info(self._kind, self.identifier))

    def get_load_config(self) -> Any:
        """The config that this model was loaded with."""
        return self._client.run(ops.get_load_config(self._kind, self.identifier))

    def get_context_length(self) -> int:
        """The context length that this model was loaded with, in tokens."""
        return self._client.run(ops.get_context_length(self._kind, self.identifier))

    @overload
    def tokenize(self, input: str) -> list[int]: ...
    @overload
    def tokenize(self, input: Iterable[str]) -> list[list[int]]: ...
    def tokenize(self, input: str | Iterable[str]) -> list[int] | list[list[int]]:  # noqa: A002
        """The token ids of one text, or of each of several.

        Args:
            input: One string, or an iterable of strings.

        Returns:
            A list of token ids, or a list of such lists in the order of the texts.
        """
        if (many := ops.texts(input)) is None:
            return self._client.run(ops.tokenize(self._kind, self.identifier, cast("str", input)))
        return self._client.run(
            Batch([ops.tokenize(self._kind, self.identifier, text) for text in many])
        )

    def count_tokens(self, input: str) -> int:  # noqa: A002
        """The number of tokens that ``input`` has for this model."""
        return self._client.run(ops.count_tokens(self._kind, self.identifier, input))


class AsyncModelHandle(ModelHandleBase):
    """A loaded model, for asyncio.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.
    """

    def __init__(self, model_identifier: str, client: AsyncRunner) -> None:
        super().__init__(model_identifier)
        self._client = client

    async def unload(self) -> None:
        """Unload this model. Raises ``LMStudioModelNotFoundError`` if it is not loaded."""
        await self._client.run(ops.unload(self._kind, self.identifier))

    async def get_info(self) -> Any:
        """What the server knows of this model; raises ``LMStudioModelNotFoundError`` if it is gone."""
        return await self._client.run(ops.get_model_info(self._kind, self.identifier))

    async def get_load_config(self) -> Any:
        """The config that this model was loaded with."""
        return await self._client.run(ops.get_load_config(self._kind, self.identifier))

    async def get_context_length(self) -> int:
        """The context length that this model was loaded with, in tokens."""
        return await self._client.run(ops.get_context_length(self._kind, self.identifier))

    @overload
    async def tokenize(self, input: str) -> list[int]: ...
    @overload
    async def tokenize(self, input: Iterable[str]) -> list[list[int]]: ...
    async def tokenize(self, input: str | Iterable[str]) -> list[int] | list[list[int]]:  # noqa: A002
        """The token ids of one text, or of each of several.

        Args:
            input: One string, or an iterable of strings.

        Returns:
            A list of token ids, or a list of such lists in the order of the texts.
        """
        if (many := ops.texts(input)) is None:
            return await self._client.run(
                ops.tokenize(self._kind, self.identifier, cast("str", input))
            )
        return await self._client.run(
            Batch([ops.tokenize(self._kind, self.identifier, text) for text in many])
        )

    async def count_tokens(self, input: str) -> int:  # noqa: A002
        """The number of tokens that ``input`` has for this model."""
        return await self._client.run(ops.count_tokens(self._kind, self.identifier, input))
