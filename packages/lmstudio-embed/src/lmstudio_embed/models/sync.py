"""Loaded embedding models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from typing_extensions import Unpack

from lmstudio_core.models.handles import SyncModelHandle
from lmstudio_core.models.kind import ModelKind
from lmstudio_core.runner import SyncRunner
from lmstudio_core.timeouts import CallLimits

from ..arrays import FloatArray
from ..fold import ContextLimit
from ..jobs import many_texts, one_text, stream_of_texts
from ..kind import EMBEDDING_KIND
from ..options import DEFAULT_IN_FLIGHT, Chunk, OnError, Progress
from ..streams import EmbeddingStream

if TYPE_CHECKING:
    from lmstudio_core.errors import LMStudioServerError
    from lmstudio_core.models.infos import EmbeddingModelInstanceInfo

    from ..config import EmbeddingLoadModelConfig

__all__ = ["EmbeddingModel"]


class EmbeddingModel(SyncModelHandle):
    """A loaded embedding model: turns texts into vectors.

    Made by ``client.embedding.model(...)`` or ``lmstudio.embedding_model(...)``.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        >>> model = client.embedding.model("pocket-embedding")
        >>> [len(vector) for vector in model.embed(["a cat", "a dog"])]
        [128, 128]
    """

    _kind: ClassVar[ModelKind] = EMBEDDING_KIND

    if TYPE_CHECKING:

        def get_info(self, **limits: Unpack[CallLimits]) -> EmbeddingModelInstanceInfo: ...  # noqa: D102
        def get_load_config(self, **limits: Unpack[CallLimits]) -> EmbeddingLoadModelConfig: ...  # noqa: D102

    def __init__(self, model_identifier: str, client: SyncRunner) -> None:
        super().__init__(model_identifier, client)
        self._limit = ContextLimit()

    @overload
    def embed(  # type: ignore[overload-overlap]  # a string comes first, though it is iterable
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
    def embed(
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
    def embed(
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
    def embed(
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
    def embed(
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
    def embed(
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
            ``vector = model.embed("Hello, world!")``
        """
        if isinstance(input, str):
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
            found = EmbeddingStream[Any](self._client, fold, progress, 1, **limits).collect()
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
        return EmbeddingStream[Any](self._client, fold, progress, total, **limits).collect()

    @overload
    def embed_stream(
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
    ) -> EmbeddingStream[list[float]]: ...
    @overload
    def embed_stream(
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
    ) -> EmbeddingStream[list[float] | LMStudioServerError]: ...
    @overload
    def embed_stream(
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
    ) -> EmbeddingStream[FloatArray]: ...
    @overload
    def embed_stream(
        self,
        input: Iterable[str],
        *,
        as_array: Literal[True],
        normalize: bool = ...,
        chunk: Chunk = ...,
        progress: Progress = ...,
        max_in_flight: int = ...,
        on_error: Literal["return"],
        **limits: Unpack[CallLimits],
    ) -> EmbeddingStream[FloatArray | LMStudioServerError]: ...
    def embed_stream(
        self,
        input: Iterable[str],  # noqa: A002
        *,
        as_array: bool = False,
        normalize: bool = False,
        chunk: Chunk = False,
        progress: Progress = False,
        max_in_flight: int = DEFAULT_IN_FLIGHT,
        on_error: OnError = "raise",
        **limits: Unpack[CallLimits],
    ) -> EmbeddingStream[Any]:
        """The embeddings of any number of texts, one by one as they come.

        No more than about ``max_in_flight`` texts and vectors are in memory at a time, so a
        generator may yield millions; it is asked for the next text when there is room for it.

        Args:
            input: An iterable of strings, such as a file's lines.
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
            An iterator over the vectors, in the order of the texts.

        Raises:
            LMStudioValueError: An argument is wrong; while iterating: ``input`` yielded what is no
                string.
            TextTooLongError: While iterating: a text has more tokens than the model takes.
            LMStudioServerError: While iterating: the server could not embed a text.
            LMStudioRuntimeError: numpy or tqdm is needed and not installed.

        Example:
            ``for vector in model.embed_stream(line.strip() for line in file): ...``
        """
        fold, total = stream_of_texts(
            self,
            self._limit,
            input,
            as_array=as_array,
            normalize=normalize,
            chunk=chunk,
            max_in_flight=max_in_flight,
            on_error=on_error,
        )
        return EmbeddingStream(self._client, fold, progress, total, **limits)
