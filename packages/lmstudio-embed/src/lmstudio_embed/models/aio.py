"""Loaded embedding models, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from typing_extensions import Unpack

from lmstudio_core.models.handles import AsyncModelHandle
from lmstudio_core.models.kind import ModelKind
from lmstudio_core.protocol.runner import AsyncRunner
from lmstudio_core.timeouts import CallLimits

from ..arrays import FloatArray
from ..arriving import ArrivingTexts
from ..fold import ContextLimit
from ..jobs import many_texts, one_call, one_text, stream_of_texts
from ..kind import EMBEDDING_KIND
from ..options import DEFAULT_IN_FLIGHT, Chunk, OnError, Progress
from ..streams import AsyncEmbeddingStream

if TYPE_CHECKING:
    from lmstudio_core.errors import LMStudioServerError
    from lmstudio_core.models.infos import EmbeddingModelInstanceInfo

    from ..config import EmbeddingLoadModelConfig


class AsyncEmbeddingModel(AsyncModelHandle):  # public
    """A loaded embedding model, for asyncio: turns texts into vectors.

    Made by ``await client.embedding.model(...)``.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        >>> async def main() -> None:
        ...     model = await client.embedding.model("pocket-embedding")
        ...     cat, dog = await model.embed(["a cat", "a dog"])
        ...     print(len(cat), len(dog))
        >>> asyncio.run(main())
        128 128
    """

    _kind: ClassVar[ModelKind] = EMBEDDING_KIND

    if TYPE_CHECKING:

        async def get_info(self, **limits: Unpack[CallLimits]) -> EmbeddingModelInstanceInfo: ...  # noqa: D102
        async def get_load_config(  # noqa: D102
            self, **limits: Unpack[CallLimits]
        ) -> EmbeddingLoadModelConfig: ...

    def __init__(self, model_identifier: str, client: AsyncRunner) -> None:
        super().__init__(model_identifier, client)
        self._limit = ContextLimit()

    @overload
    async def embed(  # type: ignore[overload-overlap]  # a string comes first, though it is iterable
        self,
        input: str,
        *,
        as_array: Literal[False] = ...,
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: OnError = ...,
        **limits: Unpack[CallLimits],
    ) -> list[float]: ...
    @overload
    async def embed(
        self,
        input: str,
        *,
        as_array: Literal[True],
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: OnError = ...,
        **limits: Unpack[CallLimits],
    ) -> FloatArray: ...
    @overload
    async def embed(
        self,
        input: Iterable[str],
        *,
        as_array: Literal[False] = ...,
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["raise", "skip"] = ...,
        **limits: Unpack[CallLimits],
    ) -> list[list[float]]: ...
    @overload
    async def embed(
        self,
        input: Iterable[str],
        *,
        as_array: Literal[False] = ...,
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["return"],
        **limits: Unpack[CallLimits],
    ) -> list[list[float] | LMStudioServerError]: ...
    @overload
    async def embed(
        self,
        input: Iterable[str],
        *,
        as_array: Literal[True],
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["raise", "skip"] = ...,
        **limits: Unpack[CallLimits],
    ) -> FloatArray: ...
    async def embed(
        self,
        input: str | Iterable[str],  # noqa: A002
        *,
        as_array: bool = False,
        normalize: bool = False,
        chunk: Chunk = False,
        progress: Progress = False,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
        **limits: Unpack[CallLimits],
    ) -> Any:
        """The embedding of one text, or of each of several.

        The texts of an iterable travel together over one connection instead of waiting for one
        another.

        Args:
            input: One string, or an iterable of strings.
            as_array: Give a float32 numpy array in place of lists: ``(dim,)`` for one text,
                ``(n, dim)`` for several (``lmstudio-embed[numpy]``).
            normalize: Scale each vector to length 1, if the model does not.
            chunk: Embed a text that is too long in parts and pool their vectors: ``True`` for
                parts as large as the model takes, a number of tokens, or a ``Chunking``.
            progress: ``True`` for a bar (``lmstudio-embed[progress]``), or a function of the
                number of texts done and their total.
            max_in_flight: How many texts, or parts of one, may be unanswered at the same time.
            on_error: What becomes of one of several texts that the server cannot embed:
                ``"raise"`` ends the call with the error (its ``partial`` holds the vectors of
                the texts before), ``"skip"`` leaves the text out, ``"return"`` puts the error in
                the place of the vector.
            limits: ``timeout`` and ``idle_timeout`` in seconds, as of every call.

        Returns:
            One vector as a list of floats (as long as the model has dimensions), or a list of such
            vectors in the order of the texts; an empty list for no texts. With ``as_array`` an
            array.

        Raises:
            LMStudioValueError: An argument is wrong, such as what is no string in ``input``;
                nothing was sent.
            LMStudioModelNotFoundError: The model is no longer loaded.
            TextTooLongError: A text has more tokens than the model takes, and ``chunk`` is not set.
            LMStudioServerError: The server could not embed a text.
            LMStudioRuntimeError: numpy or tqdm is needed and not installed.

        Example:
            ``vector = await model.embed("Hello, world!")``
        """
        if isinstance(input, str):
            call = one_call(
                self,
                self._limit,
                input,
                as_array=as_array,
                normalize=normalize,
                chunk=chunk,
                progress=progress,
                max_in_flight=max_in_flight,
                on_error=on_error,
            )
            if call is not None:
                return await self._client.run(call, **limits)
            fold = one_text(
                self,
                self._limit,
                input,
                as_array=as_array,
                normalize=normalize,
                chunk=chunk,
                max_in_flight=max_in_flight,
                on_error=on_error,
            )
            found = await AsyncEmbeddingStream[Any](
                self._client, fold, progress, 1, **limits
            ).collect()
            return found[0]
        fold, total = many_texts(
            self,
            self._limit,
            input,
            as_array=as_array,
            normalize=normalize,
            chunk=chunk,
            max_in_flight=max_in_flight,
            on_error=on_error,
        )
        return await AsyncEmbeddingStream[Any](
            self._client, fold, progress, total, **limits
        ).collect()

    @overload
    def embed_stream(
        self,
        input: Iterable[str] | AsyncIterable[str],
        *,
        as_array: Literal[False] = ...,
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["raise", "skip"] = ...,
        **limits: Unpack[CallLimits],
    ) -> AsyncEmbeddingStream[list[float]]: ...
    @overload
    def embed_stream(
        self,
        input: Iterable[str] | AsyncIterable[str],
        *,
        as_array: Literal[False] = ...,
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["return"],
        **limits: Unpack[CallLimits],
    ) -> AsyncEmbeddingStream[list[float] | LMStudioServerError]: ...
    @overload
    def embed_stream(
        self,
        input: Iterable[str] | AsyncIterable[str],
        *,
        as_array: Literal[True],
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["raise", "skip"] = ...,
        **limits: Unpack[CallLimits],
    ) -> AsyncEmbeddingStream[FloatArray]: ...
    @overload
    def embed_stream(
        self,
        input: Iterable[str] | AsyncIterable[str],
        *,
        as_array: Literal[True],
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["return"],
        **limits: Unpack[CallLimits],
    ) -> AsyncEmbeddingStream[FloatArray | LMStudioServerError]: ...
    def embed_stream(
        self,
        input: Iterable[str] | AsyncIterable[str],  # noqa: A002
        *,
        as_array: bool = False,
        normalize: bool = False,
        chunk: Chunk = False,
        progress: Progress = False,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
        **limits: Unpack[CallLimits],
    ) -> AsyncEmbeddingStream[Any]:
        """The embeddings of any number of texts, one by one as they come.

        No more than about ``max_in_flight`` texts and vectors are in memory at a time, so a
        generator may yield millions; it is asked for the next text when there is room for it.

        Args:
            input: An iterable of strings, such as a file's lines, or an async one, whose texts are
                sent as they come; results do not wait for it.
            as_array: Give each vector as a float32 numpy array (``lmstudio-embed[numpy]``).
            normalize: Scale each vector to length 1, if the model does not.
            chunk: Embed a text that is too long in parts and pool their vectors: ``True`` for
                parts as large as the model takes, a number of tokens, or a ``Chunking``.
            progress: ``True`` for a bar (``lmstudio-embed[progress]``), or a function of the
                number of texts done and their total (``None`` if ``input`` does not know it).
            max_in_flight: How many texts, or parts of them, may be unanswered at the same time.
            on_error: What becomes of a text that the server cannot embed: ``"raise"`` ends the
                stream with the error, ``"skip"`` leaves the text out (``stream.failed`` tells),
                ``"return"`` yields the error in the place of the vector.
            limits: ``timeout`` and ``idle_timeout`` in seconds, as of every call.

        Returns:
            An async iterator over the vectors, in the order of the texts.

        Raises:
            LMStudioValueError: An argument is wrong; while iterating: ``input`` yielded what is no
                string.
            TextTooLongError: While iterating: a text has more tokens than the model takes.
            LMStudioServerError: While iterating: the server could not embed a text.
            LMStudioRuntimeError: numpy or tqdm is needed and not installed.

        Example:
            ``async for vector in model.embed_stream(line.strip() for line in file): ...``
        """
        arriving = ArrivingTexts(input) if isinstance(input, AsyncIterable) else None  # async only
        fold, total = stream_of_texts(
            self,
            self._limit,
            input if arriving is None else arriving,  # async only
            # sync: input,
            as_array=as_array,
            normalize=normalize,
            chunk=chunk,
            max_in_flight=max_in_flight,
            on_error=on_error,
        )
        return AsyncEmbeddingStream(
            self._client,
            fold,
            progress,
            total,
            arriving,  # async only
            **limits,
        )
