"""Files that the server knows, as chats and file operations refer to them."""

from __future__ import annotations

import os
from typing import IO, Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import Field, InstanceOf
from pydantic_core import core_schema
from typing_extensions import NotRequired, TypedDict

from ..data import InputStruct

__all__ = [
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "FileType",
    "LocalFileInput",
    "PictureInput",
]

FileType = Literal[
    "image", "text/plain", "application/pdf", "application/word", "text/other", "unknown"
]  # public
"""The kinds of files that servers tell apart; a newer server may send others."""


class FileHandle(InputStruct):  # public, api
    """A file that the server holds, to be attached to a message.

    ``prepare_image`` makes one. ``identifier`` is the server's own and means nothing elsewhere;
    ``size_bytes`` is the size of the file as uploaded.

    Example:
        >>> handle = FileHandle(name="cat.png", identifier="f1", size_bytes=9, file_type="image")
        >>> len(chat.add_user_message(["What is this?", handle]).content)
        2
    """

    type: Literal["file"] = Field(default="file", repr=False)
    name: str
    identifier: str
    size_bytes: int
    file_type: FileType | str


class FileHandleDict(TypedDict):  # public, api
    """``FileHandle`` as a dict.

    Example:
        >>> handle: FileHandleDict = {
        ...     "name": "cat.png", "identifier": "f1", "sizeBytes": 9, "fileType": "image"
        ... }
        >>> len(chat.add_user_message(["What is this?", handle]).content)
        2
    """

    type: NotRequired[Literal["file"]]
    name: str
    identifier: str
    sizeBytes: int
    fileType: str


FileHandleInput = FileHandle | FileHandleDict  # public, api
"""A file that the server holds, in either form."""


@runtime_checkable
class PictureInput(Protocol):
    """A picture in memory: an object of ``PIL.Image``."""

    @property
    def mode(self) -> str:
        """How its pixels are stored, such as ``"RGB"``."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def save(self, fp: Any, format: str | None = None) -> None:  # noqa: A002 - Pillow's name
        """Write it to a file object in a format such as ``"PNG"``."""


class _Readable:
    """Tells pydantic what a file object is, which has no class of its own to be an instance of."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Any:
        def readable(value: Any) -> Any:
            if not callable(getattr(value, "read", None)):
                raise ValueError("a file object has a method 'read'")  # noqa: TRY004 - pydantic's
            return value

        return core_schema.no_info_plain_validator_function(readable)


LocalFileInput = (
    str
    | os.PathLike[str]
    | bytes
    | InstanceOf[bytearray]
    | InstanceOf[memoryview]
    | Annotated[IO[bytes], _Readable()]
    | InstanceOf[PictureInput]
)  # public, api
"""A file of this machine: a path, its content (bytes are never a path), or a binary file object.

For images also a data URL (``"data:image/png;base64,..."``) and an object of ``PIL.Image``.
"""
