"""The two facades of ``client.files``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from typing_extensions import Unpack

from ..client.namespace import AsyncNamespace, SyncNamespace
from ..models.handles import ModelHandleBase
from ..timeouts import CallLimits
from . import operations as ops
from .data import DocumentParsingLibrary, ParsedDocument, RetrievalEvent, RetrievalResult
from .handles import FileHandle, FileHandleInput, LocalFileInput

__all__ = ["AsyncFilesNamespace", "FilesNamespace"]


class FilesNamespace(SyncNamespace):
    """Images and documents for the server."""

    server_namespace = "files"

    def prepare_image(
        self, src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
    ) -> FileHandle:
        """Send an image to the server, for use in chats.

        Args:
            src: A path, the image's bytes (never taken for a path), a binary file object, which is
                read from where it stands, a data URL, or a ``PIL.Image``. JPEG, PNG or WebP.
            name: What to call it; by default the file's name.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle to pass to ``chat.add_user_message(..., images=[handle])``.

        Raises:
            LMStudioOSError: The file cannot be read.
            LMStudioValueError: It is not JPEG, PNG or WebP.
        """
        return self._client.run(ops.prepare_image(src, name), **limits)

    def prepare_file(
        self, src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
    ) -> FileHandle:
        """Send any file to the server, for use in chats, for parsing and for retrieval.

        Args:
            src: A path, the file's bytes (never taken for a path), or a binary file object, which
                is read from where it stands.
            name: What to call it; by default the file's name. Servers may tell its kind by it, so
                that bytes are better given one, such as ``"notes.txt"``.

        Returns:
            The handle; ``file_type`` is what the server takes the file for.

        Raises:
            LMStudioOSError: The file cannot be read.
            LMStudioValueError: ``src`` is none of these.
        """
        return self._client.run(ops.prepare_file(src, name), **limits)

    def get_local_file_path(self, file: FileHandleInput, **limits: Unpack[CallLimits]) -> str:
        """The absolute path of a file of the server, on the machine that the server runs on."""
        return self._client.run(ops.get_local_file_path(file), **limits)

    def get_document_parsing_library(
        self, file: FileHandleInput, **limits: Unpack[CallLimits]
    ) -> DocumentParsingLibrary:
        """The library that the server would parse a document with.

        Raises:
            LMStudioServerError: The server cannot parse such a file.
        """
        return self._client.run(ops.get_document_parsing_library(file), **limits)

    def parse_document(
        self,
        file: FileHandleInput,
        *,
        parser: DocumentParsingLibrary | Mapping[str, str] | None = None,
        on_progress: Callable[[float], object] | None = None,
        on_parser_loaded: Callable[[DocumentParsingLibrary], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> ParsedDocument:
        """Extract the text of a document that was sent with ``prepare_file``.

        Args:
            file: The document.
            parser: Which library to use; by default the server's choice.
            on_progress: Called with the progress, rising from 0.0 to 1.0.
            on_parser_loaded: Called with the library once it is ready.

        Raises:
            LMStudioServerError: The server cannot parse such a file.
        """
        return self._client.run(
            ops.parse_document(file, parser, on_progress, on_parser_loaded), **limits
        )

    def retrieve(
        self,
        query: str,
        files: Iterable[FileHandleInput],
        *,
        embedding_model: str | ModelHandleBase | None = None,
        limit: int | None = None,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        database_path: str | None = None,
        on_event: Callable[[RetrievalEvent], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> RetrievalResult:
        """Find the passages of files that fit a query.

        Args:
            query: What to look for, in words.
            files: The files to search, sent with ``prepare_file``.
            embedding_model: The embedding model, by identifier or handle; by default the server's.
            limit: How many passages at most; the server's default is 5.
            chunk_size: The length of passages in characters; the server's default is 512.
            chunk_overlap: How many characters neighbours share; the server's default is 100.
            database_path: Where the server keeps the passages' embeddings.
            on_event: Called with whatever happens, as it happens.

        Returns:
            The passages, as the server ranked them.
        """
        return self._client.run(
            ops.retrieve(
                query,
                files,
                embedding_model=embedding_model,
                limit=limit,
                chunk_size=chunk_size,
                chunk_overlap=chunk_overlap,
                database_path=database_path,
                on_event=on_event,
            ),
            **limits,
        )


class AsyncFilesNamespace(AsyncNamespace):
    """Images and documents for the server, for asyncio."""

    server_namespace = "files"

    async def prepare_image(
        self, src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
    ) -> FileHandle:
        """Send an image to the server, for use in chats.

        Args:
            src: A path, the image's bytes (never taken for a path), a binary file object, which is
                read from where it stands, a data URL, or a ``PIL.Image``. JPEG, PNG or WebP.
            name: What to call it; by default the file's name.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle to pass to ``chat.add_user_message(..., images=[handle])``.

        Raises:
            LMStudioOSError: The file cannot be read.
            LMStudioValueError: It is not JPEG, PNG or WebP.
        """
        return await self._client.run(ops.prepare_image(src, name), **limits)

    async def prepare_file(
        self, src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
    ) -> FileHandle:
        """Send any file to the server, for use in chats, for parsing and for retrieval.

        Args:
            src: A path, the file's bytes (never taken for a path), or a binary file object, which
                is read from where it stands.
            name: What to call it; by default the file's name. Servers may tell its kind by it, so
                that bytes are better given one, such as ``"notes.txt"``.

        Returns:
            The handle; ``file_type`` is what the server takes the file for.

        Raises:
            LMStudioOSError: The file cannot be read.
            LMStudioValueError: ``src`` is none of these.
        """
        return await self._client.run(ops.prepare_file(src, name), **limits)

    async def get_local_file_path(self, file: FileHandleInput, **limits: Unpack[CallLimits]) -> str:
        """The absolute path of a file of the server, on the machine that the server runs on."""
        return await self._client.run(ops.get_local_file_path(file), **limits)

    async def get_document_parsing_library(
        self, file: FileHandleInput, **limits: Unpack[CallLimits]
    ) -> DocumentParsingLibrary:
        """The library that the server would parse a document with.

        Raises:
            LMStudioServerError: The server cannot parse such a file.
        """
        return await self._client.run(ops.get_document_parsing_library(file), **limits)

    async def parse_document(
        self,
        file: FileHandleInput,
        *,
        parser: DocumentParsingLibrary | Mapping[str, str] | None = None,
        on_progress: Callable[[float], object] | None = None,
        on_parser_loaded: Callable[[DocumentParsingLibrary], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> ParsedDocument:
        """Extract the text of a document that was sent with ``prepare_file``.

        Args:
            file: The document.
            parser: Which library to use; by default the server's choice.
            on_progress: Called with the progress, rising from 0.0 to 1.0.
            on_parser_loaded: Called with the library once it is ready.

        Raises:
            LMStudioServerError: The server cannot parse such a file.
        """
        return await self._client.run(
            ops.parse_document(file, parser, on_progress, on_parser_loaded), **limits
        )

    async def retrieve(
        self,
        query: str,
        files: Iterable[FileHandleInput],
        *,
        embedding_model: str | ModelHandleBase | None = None,
        limit: int | None = None,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        database_path: str | None = None,
        on_event: Callable[[RetrievalEvent], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> RetrievalResult:
        """Find the passages of files that fit a query.

        Args:
            query: What to look for, in words.
            files: The files to search, sent with ``prepare_file``.
            embedding_model: The embedding model, by identifier or handle; by default the server's.
            limit: How many passages at most; the server's default is 5.
            chunk_size: The length of passages in characters; the server's default is 512.
            chunk_overlap: How many characters neighbours share; the server's default is 100.
            database_path: Where the server keeps the passages' embeddings.
            on_event: Called with whatever happens, as it happens.

        Returns:
            The passages, as the server ranked them.
        """
        return await self._client.run(
            ops.retrieve(
                query,
                files,
                embedding_model=embedding_model,
                limit=limit,
                chunk_size=chunk_size,
                chunk_overlap=chunk_overlap,
                database_path=database_path,
                on_event=on_event,
            ),
            **limits,
        )
