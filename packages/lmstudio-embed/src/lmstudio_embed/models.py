"""Loaded embedding models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, cast, overload

from lmstudio_core.models.handles import AsyncModelHandle, SyncModelHandle
from lmstudio_core.models.kind import ModelKind

from . import operations as ops
from .kind import EMBEDDING_KIND
from .operations import DEFAULT_IN_FLIGHT

if TYPE_CHECKING:
    from lmstudio_core.models.infos import EmbeddingModelInstanceInfo

    from .config import EmbeddingLoadModelConfig

__all__ = ["AsyncEmbeddingModel", "EmbeddingModel"]


class EmbeddingModel(SyncModelHandle):
    """A loaded embedding model: turns texts into vectors.

    Made by ``client.embedding.model(...)`` or ``lmstudio.embedding_model(...)``.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        ``model.embed(["a cat", "a dog"])`` gives two lists of floats of the same length.
    """

    _kind: ClassVar[ModelKind] = EMBEDDING_KIND

    if TYPE_CHECKING:

        def get_info(self) -> EmbeddingModelInstanceInfo: ...
        def get_load_config(self) -> EmbeddingLoadModelConfig: ...

    @overload
    def embed(  # type: ignore[overload-overlap]  # a string comes first, though it is iterable
        self,
        input: str,
        *,
        max_in_flight: int = ...,
    ) -> list[float]: ...
    @overload
    def embed(self, input: Iterable[str], *, max_in_flight: int = ...) -> list[list[float]]: ...
    def embed(
        self,
        input: str | Iterable[str],  # noqa: A002
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
    ) -> list[float] | list[list[float]]:
        """The embedding of one text, or of each of several.

        The texts of an iterable travel together over one connection instead of waiting for one
        another.

        Args:
            input: One string, or an iterable of strings.
            max_in_flight: How many of several texts may be unanswered at the same time.

        Returns:
            One vector as a list of floats (as long as the model has dimensions), or a list of such
            vectors in the order of the texts; an empty list for no texts.

        Raises:
            LMStudioValueError: ``input`` is neither a string nor made of strings.
            LMStudioModelNotFoundError: The model is no longer loaded.
            LMStudioServerError: The server could not embed a text.

        Example:
            ``vector = model.embed("Hello, world!")``
        """
        vectors = self._client.run(ops.embed(self.identifier, input, max_in_flight))
        return cast("list[float] | list[list[float]]", vectors)


class AsyncEmbeddingModel(AsyncModelHandle):
    """A loaded embedding model, for asyncio: turns texts into vectors.

    Made by ``await client.embedding.model(...)``.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        ``await model.embed(["a cat", "a dog"])`` gives two lists of floats of the same length.
    """

    _kind: ClassVar[ModelKind] = EMBEDDING_KIND

    if TYPE_CHECKING:

        async def get_info(self) -> EmbeddingModelInstanceInfo: ...
        async def get_load_config(self) -> EmbeddingLoadModelConfig: ...

    @overload
    async def embed(  # type: ignore[overload-overlap]  # a string comes first, though it is iterable
        self,
        input: str,
        *,
        max_in_flight: int = ...,
    ) -> list[float]: ...
    @overload
    async def embed(
        self, input: Iterable[str], *, max_in_flight: int = ...
    ) -> list[list[float]]: ...
    async def embed(
        self,
        input: str | Iterable[str],  # noqa: A002
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
    ) -> list[float] | list[list[float]]:
        """The embedding of one text, or of each of several.

        The texts of an iterable travel together over one connection instead of waiting for one
        another.

        Args:
            input: One string, or an iterable of strings.
            max_in_flight: How many of several texts may be unanswered at the same time.

        Returns:
            One vector as a list of floats (as long as the model has dimensions), or a list of such
            vectors in the order of the texts; an empty list for no texts.

        Raises:
            LMStudioValueError: ``input`` is neither a string nor made of strings.
            LMStudioModelNotFoundError: The model is no longer loaded.
            LMStudioServerError: The server could not embed a text.

        Example:
            ``vector = await model.embed("Hello, world!")``
        """
        vectors = await self._client.run(ops.embed(self.identifier, input, max_in_flight))
        return cast("list[float] | list[list[float]]", vectors)
