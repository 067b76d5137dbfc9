"""Loaded embedding models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from lmstudio_core.models.handles import AsyncModelHandle, SyncModelHandle
from lmstudio_core.models.kind import ModelKind

from . import operations as ops
from .kind import EMBEDDING_KIND
from .operations import DEFAULT_IN_FLIGHT, OnError
from .streams import AsyncEmbeddingStream, EmbeddingStream

if TYPE_CHECKING:
    from lmstudio_core.errors import LMStudioServerError
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
        on_error: OnError = ...,
    ) -> list[float]: ...
    @overload
    def embed(
        self,
        input: Iterable[str],
        *,
        max_in_flight: int = ...,
        on_error: Literal["raise", "skip"] = ...,
    ) -> list[list[float]]: ...
    @overload
    def embed(
        self,
        input: Iterable[str],
        *,
        max_in_flight: int = ...,
        on_error: Literal["return"],
    ) -> list[list[float] | LMStudioServerError]: ...
    def embed(
        self,
        input: str | Iterable[str],  # noqa: A002
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
    ) -> Any:
        """The embedding of one text, or of each of several.

        The texts of an iterable travel together over one connection instead of waiting for one
        another.

        Args:
            input: One string, or an iterable of strings.
            max_in_flight: How many of several texts may be unanswered at the same time.
            on_error: What becomes of one of several texts that the server cannot embed:
                ``"raise"`` ends the call with the error, ``"skip"`` leaves the text out,
                ``"return"`` puts the error in the place of the vector.

        Returns:
            One vector as a list of floats (as long as the model has dimensions), or a list of such
            vectors in the order of the texts; an empty list for no texts.

        Raises:
            LMStudioValueError: ``input`` is neither a string nor made of strings; nothing was sent.
            LMStudioModelNotFoundError: The model is no longer loaded.
            LMStudioServerError: The server could not embed a text.

        Example:
            ``vector = model.embed("Hello, world!")``
        """
        return self._client.run(ops.embed(self.identifier, input, max_in_flight, on_error))

    def embed_stream(
        self,
        input: Iterable[str],  # noqa: A002
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
    ) -> EmbeddingStream:
        """The embeddings of any number of texts, one by one as they come.

        No more than ``max_in_flight`` texts and vectors are in memory at a time, so a generator
        may yield millions; it is asked for the next text when there is room for it.

        Args:
            input: An iterable of strings, such as a file's lines.
            max_in_flight: How many texts may be unanswered at the same time.
            on_error: What becomes of a text that the server cannot embed: ``"raise"`` ends the
                stream with the error, ``"skip"`` leaves the text out (``stream.failed`` tells),
                ``"return"`` yields the error in the place of the vector.

        Returns:
            An iterator over the vectors, in the order of the texts.

        Raises:
            LMStudioValueError: ``input`` is not made of strings.
            LMStudioServerError: While iterating: the server could not embed a text.

        Example:
            ``for vector in model.embed_stream(line.strip() for line in file): ...``
        """
        batch = ops.embed_batch(self.identifier, input, max_in_flight, on_error)
        return EmbeddingStream(self._client.stream(batch), skip=on_error == "skip")


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
        on_error: OnError = ...,
    ) -> list[float]: ...
    @overload
    async def embed(
        self,
        input: Iterable[str],
        *,
        max_in_flight: int = ...,
        on_error: Literal["raise", "skip"] = ...,
    ) -> list[list[float]]: ...
    @overload
    async def embed(
        self,
        input: Iterable[str],
        *,
        max_in_flight: int = ...,
        on_error: Literal["return"],
    ) -> list[list[float] | LMStudioServerError]: ...
    async def embed(
        self,
        input: str | Iterable[str],  # noqa: A002
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
    ) -> Any:
        """The embedding of one text, or of each of several.

        The texts of an iterable travel together over one connection instead of waiting for one
        another.

        Args:
            input: One string, or an iterable of strings.
            max_in_flight: How many of several texts may be unanswered at the same time.
            on_error: What becomes of one of several texts that the server cannot embed:
                ``"raise"`` ends the call with the error, ``"skip"`` leaves the text out,
                ``"return"`` puts the error in the place of the vector.

        Returns:
            One vector as a list of floats (as long as the model has dimensions), or a list of such
            vectors in the order of the texts; an empty list for no texts.

        Raises:
            LMStudioValueError: ``input`` is neither a string nor made of strings; nothing was sent.
            LMStudioModelNotFoundError: The model is no longer loaded.
            LMStudioServerError: The server could not embed a text.

        Example:
            ``vector = await model.embed("Hello, world!")``
        """
        return await self._client.run(ops.embed(self.identifier, input, max_in_flight, on_error))

    def embed_stream(
        self,
        input: Iterable[str],  # noqa: A002
        *,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
    ) -> AsyncEmbeddingStream:
        """The embeddings of any number of texts, one by one as they come.

        No more than ``max_in_flight`` texts and vectors are in memory at a time, so a generator
        may yield millions; it is asked for the next text when there is room for it.

        Args:
            input: An iterable of strings, such as a file's lines.
            max_in_flight: How many texts may be unanswered at the same time.
            on_error: What becomes of a text that the server cannot embed: ``"raise"`` ends the
                stream with the error, ``"skip"`` leaves the text out (``stream.failed`` tells),
                ``"return"`` yields the error in the place of the vector.

        Returns:
            An async iterator over the vectors, in the order of the texts.

        Raises:
            LMStudioValueError: ``input`` is not made of strings.
            LMStudioServerError: While iterating: the server could not embed a text.

        Example:
            ``async for vector in model.embed_stream(line.strip() for line in file): ...``
        """
        batch = ops.embed_batch(self.identifier, input, max_in_flight, on_error)
        return AsyncEmbeddingStream(self._client.stream(batch), skip=on_error == "skip")
