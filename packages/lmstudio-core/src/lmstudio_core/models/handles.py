"""Handles: loaded models that a program works with."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, ClassVar, cast, overload

from typing_extensions import Unpack

from ..config import ConfigModel
from ..data import SameOnServer
from ..protocol.operations import Batch
from ..runner import AsyncRunner, SyncRunner
from ..timeouts import CallLimits
from ..tracebacks import Short
from . import operations as ops
from .infos import ModelInstanceInfo, ModelProcessingState
from .kind import ModelKind
from .specifiers import AnyModelSpecifier

__all__ = [
    "AsyncDraftingHandle",
    "AsyncModelHandle",
    "DraftingHandle",
    "ModelHandleBase",
    "ModelSpecifierInput",
    "SyncModelHandle",
]


class ModelHandleBase(Short, SameOnServer):
    """What both handles share: which model, and how it prints.

    Two are equal if they reach the same model through the same client.
    """

    _kind: ClassVar[ModelKind]
    _device: str | None = None

    def __init__(self, model_identifier: str) -> None:
        self.identifier = model_identifier

    @property
    def device_identifier(self) -> str | None:
        """The LM Link device that the model runs on.

        ``None`` for the server's own machine, or if the server did not tell.
        """
        return self._device

    @device_identifier.setter
    def device_identifier(self, device: str | None) -> None:
        self._device = device

    def _same(self) -> Hashable:
        return self.identifier, self._device

    def __repr__(self) -> str:
        return f"{type(self).__name__}(identifier={self.identifier!r})"


ModelSpecifierInput = AnyModelSpecifier | ModelHandleBase
"""Whatever names a loaded model: what ``AnyModelSpecifier`` lists, or a handle."""


class SyncModelHandle(ModelHandleBase):
    """A loaded model.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        >>> handle = client.models.list_loaded()[0]
        >>> handle.identifier, handle.get_context_length()
        ('pocket', 2048)
    """

    def __init__(self, model_identifier: str, client: SyncRunner) -> None:
        super().__init__(model_identifier)
        self._client = client

    def unload(self, **limits: Unpack[CallLimits]) -> None:
        """Unload this model. Raises ``LMStudioModelNotFoundError`` if it is not loaded."""
        self._client.run(ops.unload(self._kind, self.identifier, self.device_identifier), **limits)

    def get_info(self, **limits: Unpack[CallLimits]) -> ModelInstanceInfo:
        """What the server knows of this model; raises ``LMStudioModelNotFoundError`` if it is gone."""
        info = self._client.run(ops.get_model_info(self._kind, self), **limits)
        return cast("ModelInstanceInfo", info)

    def get_load_config(self, **limits: Unpack[CallLimits]) -> ConfigModel:
        """The config that this model was loaded with."""
        return self._client.run(ops.get_load_config(self._kind, self), **limits)

    def get_context_length(self, **limits: Unpack[CallLimits]) -> int:
        """The context length that this model was loaded with, in tokens."""
        return self._client.run(ops.get_context_length(self._kind, self), **limits)

    def processing_state(self, **limits: Unpack[CallLimits]) -> ModelProcessingState:
        """What this model is doing (idle, generating, …) and how many requests wait for it."""
        return self._client.run(ops.processing_state(self._kind, self), **limits)

    def base_prediction_config(
        self, *, ignore_server_session_config: bool = False, **limits: Unpack[CallLimits]
    ) -> Any:
        """The prediction config that applies to this model where a call sets nothing.

        Args:
            ignore_server_session_config: Leave out what the server applies to every request.

        Returns:
            The kind's prediction config (``LlmPredictionConfig`` for language models); for kinds
            without one, a dict of the server's keys.
        """
        return self._client.run(
            ops.base_prediction_config(
                self._kind, self, ignore_server_session_config=ignore_server_session_config
            ),
            **limits,
        )

    @overload
    def tokenize(  # type: ignore[overload-overlap] # a string comes first
        self,
        input: str,
        **limits: Unpack[CallLimits],
    ) -> list[int]: ...
    @overload
    def tokenize(self, input: Iterable[str], **limits: Unpack[CallLimits]) -> list[list[int]]: ...
    def tokenize(
        self,
        input: str | Iterable[str],  # noqa: A002
        **limits: Unpack[CallLimits],
    ) -> list[int] | list[list[int]]:
        """The token ids of one text, or of each of several.

        Args:
            input: One string, or an iterable of strings.

        Returns:
            A list of token ids, or a list of such lists in the order of the texts.
        """
        if (many := ops.texts(input)) is None:
            return self._client.run(ops.tokenize(self._kind, self, cast("str", input)), **limits)
        return self._client.run(
            Batch([ops.tokenize(self._kind, self, text) for text in many]), **limits
        )

    def count_tokens(self, input: str, **limits: Unpack[CallLimits]) -> int:  # noqa: A002
        """The number of tokens that ``input`` has for this model.

        Args:
            input: The text.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            How many tokens.
        """
        return self._client.run(ops.count_tokens(self._kind, self, input), **limits)


class AsyncModelHandle(ModelHandleBase):
    """A loaded model, for asyncio.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        >>> async def main() -> None:
        ...     for handle in await client.models.list_loaded():
        ...         print(handle.identifier, await handle.get_context_length())
    """

    def __init__(self, model_identifier: str, client: AsyncRunner) -> None:
        super().__init__(model_identifier)
        self._client = client

    async def unload(self, **limits: Unpack[CallLimits]) -> None:
        """Unload this model. Raises ``LMStudioModelNotFoundError`` if it is not loaded."""
        await self._client.run(
            ops.unload(self._kind, self.identifier, self.device_identifier), **limits
        )

    async def get_info(self, **limits: Unpack[CallLimits]) -> ModelInstanceInfo:
        """What the server knows of this model; raises ``LMStudioModelNotFoundError`` if it is gone."""
        info = await self._client.run(ops.get_model_info(self._kind, self), **limits)
        return cast("ModelInstanceInfo", info)

    async def get_load_config(self, **limits: Unpack[CallLimits]) -> ConfigModel:
        """The config that this model was loaded with."""
        return await self._client.run(ops.get_load_config(self._kind, self), **limits)

    async def get_context_length(self, **limits: Unpack[CallLimits]) -> int:
        """The context length that this model was loaded with, in tokens."""
        return await self._client.run(ops.get_context_length(self._kind, self), **limits)

    async def processing_state(self, **limits: Unpack[CallLimits]) -> ModelProcessingState:
        """What this model is doing (idle, generating, …) and how many requests wait for it."""
        return await self._client.run(ops.processing_state(self._kind, self), **limits)

    async def base_prediction_config(
        self, *, ignore_server_session_config: bool = False, **limits: Unpack[CallLimits]
    ) -> Any:
        """The prediction config that applies to this model where a call sets nothing.

        Args:
            ignore_server_session_config: Leave out what the server applies to every request.

        Returns:
            The kind's prediction config (``LlmPredictionConfig`` for language models); for kinds
            without one, a dict of the server's keys.
        """
        return await self._client.run(
            ops.base_prediction_config(
                self._kind, self, ignore_server_session_config=ignore_server_session_config
            ),
            **limits,
        )

    @overload
    async def tokenize(  # type: ignore[overload-overlap] # a string comes first
        self,
        input: str,
        **limits: Unpack[CallLimits],
    ) -> list[int]: ...
    @overload
    async def tokenize(
        self, input: Iterable[str], **limits: Unpack[CallLimits]
    ) -> list[list[int]]: ...
    async def tokenize(
        self,
        input: str | Iterable[str],  # noqa: A002
        **limits: Unpack[CallLimits],
    ) -> list[int] | list[list[int]]:
        """The token ids of one text, or of each of several.

        Args:
            input: One string, or an iterable of strings.

        Returns:
            A list of token ids, or a list of such lists in the order of the texts.
        """
        if (many := ops.texts(input)) is None:
            return await self._client.run(
                ops.tokenize(self._kind, self, cast("str", input)), **limits
            )
        return await self._client.run(
            Batch([ops.tokenize(self._kind, self, text) for text in many]), **limits
        )

    async def count_tokens(self, input: str, **limits: Unpack[CallLimits]) -> int:  # noqa: A002
        """The number of tokens that ``input`` has for this model.

        Args:
            input: The text.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            How many tokens.
        """
        return await self._client.run(ops.count_tokens(self._kind, self, input), **limits)


class DraftingHandle(SyncModelHandle):
    """A loaded model whose predictions another, smaller model can draft."""

    def preload_draft_model(self, draft_model_key: str, **limits: Unpack[CallLimits]) -> None:
        """Load the draft model of speculative decoding now, so that no prediction waits for it.

        Args:
            draft_model_key: The key that predictions give as ``draft_model`` in their config.

        Raises:
            LMStudioServerError: There is no such model, or it does not fit this one.
        """
        self._client.run(ops.preload_draft_model(self._kind, self, draft_model_key), **limits)


class AsyncDraftingHandle(AsyncModelHandle):
    """A loaded model whose predictions another, smaller model can draft; for asyncio."""

    async def preload_draft_model(self, draft_model_key: str, **limits: Unpack[CallLimits]) -> None:
        """Load the draft model of speculative decoding now, so that no prediction waits for it.

        Args:
            draft_model_key: The key that predictions give as ``draft_model`` in their config.

        Raises:
            LMStudioServerError: There is no such model, or it does not fit this one.
        """
        await self._client.run(ops.preload_draft_model(self._kind, self, draft_model_key), **limits)
