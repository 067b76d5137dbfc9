"""Reading files of this machine for an upload."""

from __future__ import annotations

import base64
import binascii
import errno
import io
import os
import re
from pathlib import Path
from typing import Any, Final, TypeGuard
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import LMStudioOSError, LMStudioValueError
from ..lenient import error_text
from ..program.places import expanded
from .handles import LocalFileInput, PictureInput

__all__ = ["check_image", "check_source", "format_of", "read_source"]

_PNG_MODES: Final = ("1", "L", "LA", "P", "RGB", "RGBA")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]{32,}={0,2}\s*")
_LONGEST_PATH: Final = 4096
_IMAGES: Final = ("jpg", "png", "webp")
_OTHERS: Final = (
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"%PDF-", "pdf"),
    (b"<svg", "svg"),
)
_WHAT_IS_TAKEN: Final = (
    "a path, the file's bytes, a file opened in binary mode, a data URL or a PIL.Image"
)


def format_of(data: bytes) -> str | None:
    """The usual suffix for data of this kind, told by its first bytes; ``None`` if unknown."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1"):
        return "heic"
    if data[4:12] == b"ftypavif":
        return "avif"
    return next((suffix for magic, suffix in _OTHERS if data.startswith(magic)), None)


def check_source(src: object, name: object) -> None:
    """Complain of arguments that cannot be right, before anything is read.

    Raises:
        LMStudioValueError: ``src`` is of a wrong type or a URL, or ``name`` is not a string.
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise LMStudioValueError(f"name must be a string that is not empty, not {name!r}.")
    if isinstance(src, str) and src.lower().startswith(("http://", "https://")):
        raise LMStudioValueError(
            f"{src[:80]!r} is a URL; files are sent from this machine: download it and pass its "
            "path or its bytes."
        )
    known = (str, os.PathLike, bytes, bytearray, memoryview)
    readable = callable(getattr(src, "read", None)) or _is_picture(src)
    if not isinstance(src, known) and not readable:
        raise LMStudioValueError(f"A file is {_WHAT_IS_TAKEN}, not {type(src).__name__}.")


def read_source(src: LocalFileInput, name: str | None) -> tuple[bytes, str]:
    """The content of ``src``, and what to call it: ``name``, else its own name, else its kind.

    Raises:
        LMStudioOSError: It cannot be read; ``filename`` says which.
        LMStudioValueError: A file object was opened in text mode, or a data URL is none.
    """
    if isinstance(src, (bytes, bytearray, memoryview)):
        data = bytes(src)
        own: Any = None
    elif isinstance(src, str) and src[:5].lower() == "data:":
        data, own = _data_of_url(src), None
    elif _is_picture(src):
        data, own = _data_of_picture(src), None
    elif isinstance(src, (str, os.PathLike)):
        path = _path_of(src)
        data = _read_path(path)
        own = os.fspath(path)
    else:
        data = _read_object(src)
        own = getattr(src, "name", None)  # the number of the descriptor for some
    return data, name or _file_name(own) or _name_by_kind(data)


def _data_of_url(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise LMStudioValueError(f"{url[:80]!r} is no data URL: there is no comma in it.")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(
            "".join(unquote_to_bytes(body).decode("ascii").split()), validate=True
        )
    except (binascii.Error, ValueError) as error:
        raise LMStudioValueError(
            f"{url[:80]!r} is no data URL: what follows the comma is not base64 ({error_text(error)})."
        ) from error


def _is_picture(src: object) -> TypeGuard[PictureInput]:
    """Whether it is an object of ``PIL.Image``; Pillow itself need not be installed."""
    if callable(getattr(src, "read", None)):
        return False
    return callable(getattr(src, "save", None)) and isinstance(getattr(src, "mode", None), str)


def _data_of_picture(picture: Any) -> bytes:
    """The picture as PNG, which loses nothing of it."""
    written = io.BytesIO()
    try:
        if picture.mode not in _PNG_MODES:
            picture = _in_png_mode(picture)
        picture.save(written, format="PNG")
    except OSError as error:
        raise _os_error(error, repr(picture)) from error
    except ValueError as error:
        raise LMStudioValueError(
            f"{picture!r} cannot be made a PNG: {error_text(error)}. Give it as "
            "picture.convert('RGB')."
        ) from error
    return written.getvalue()


def _path_of(src: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The path as the system knows it: of a ``file:`` URL, and with ``~`` as the user's folder.

    Raises:
        LMStudioValueError: The URL is of another machine, or it is base64 text and no path.
    """
    text = os.fspath(src)
    if text[:5].lower() == "file:":
        url = urlsplit(text)
        if url.netloc not in ("", "localhost"):
            raise LMStudioValueError(
                f"{_short(text)} is a file of {url.netloc!r}; files are sent from this machine."
            )
        from urllib.request import url2pathname  # 50 ms

        return url2pathname(url.path)
    if _BASE64.fullmatch(text) and (len(text) > _LONGEST_PATH or _starts_a_file(text)):
        raise LMStudioValueError(
            f"{_short(text)} looks like the base64 text of a file, not like a path: give the "
            "bytes, by base64.b64decode(text), or 'data:;base64,' + text."
        )
    if text.startswith("~") and not Path(text).exists():
        return expanded(text)
    return src


def _starts_a_file(text: str) -> bool:
    """Whether base64 text begins as a file of a known kind; no usual path does."""
    try:
        return len(text) >= 64 and format_of(base64.b64decode(text[:16])) is not None
    except binascii.Error:
        return False


def _short(text: str) -> str:
    """Text for a message: megabytes of it help nobody."""
    return repr(text) if len(text) <= 80 else f"{text[:40]!r}… ({len(text)} characters)"


def _read_path(src: str | os.PathLike[str]) -> bytes:
    try:
        return Path(src).read_bytes()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise LMStudioValueError(f"{_short(os.fspath(src))} is too long for a path.") from error
        raise _os_error(error, os.fspath(src)) from error
    except ValueError as error:  # a null byte in the path
        raise LMStudioValueError(
            f"{_short(os.fspath(src))} is not a path: {error_text(error)}."
        ) from error


def _in_png_mode(picture: Any) -> Any:
    """The picture in a mode that PNG has; models see no more than that."""
    mode: str = picture.mode
    if mode.startswith(("I", "F")):
        # Brightness beyond 8 bits is scaled: conversion by itself makes most of it white.
        low, high = picture.convert("F").getextrema()
        if high > 255 or low < 0 or (mode == "F" and high <= 1):
            low = min(low, 0)
            scale = 255 / ((high - low) or 1)

            def scaled(level: Any) -> Any:
                return level * scale - low * scale

            return picture.convert("F").point(scaled).convert("L")
        return picture.convert("L")
    if mode in ("La", "RGBa", "PA"):
        through = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}[mode]
        return picture.convert(through)
    return picture.convert("RGB")


def _read_object(src: Any) -> bytes:
    label = str(getattr(src, "name", None) or repr(src))
    try:
        data: object = src.read()
    except OSError as error:
        raise _os_error(error, label) from error
    except ValueError as error:  # closed already
        raise LMStudioValueError(f"{label} cannot be read: {error_text(error)}.") from error
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    raise LMStudioValueError(
        f"{label} gives {type(data).__name__}, not bytes: open the file in binary mode, as by "
        "open(path, 'rb')."
    )


def _os_error(error: OSError, filename: str) -> LMStudioOSError:
    if error.errno is None:
        return LMStudioOSError(f"{error_text(error)}: {filename!r}")
    return LMStudioOSError(error.errno, error.strerror, filename)


def _file_name(own: object) -> str | None:
    if not isinstance(own, str) or own.startswith("<"):  # "<stdin>" and the like
        return None
    return Path(own).name or None


def _name_by_kind(data: bytes) -> str:
    suffix = format_of(data)
    if suffix is None:
        return "file"
    return f"document.{suffix}" if suffix == "pdf" else f"image.{suffix}"


def check_image(data: bytes, name: str) -> None:
    """Complain of what is no image that models can be given.

    Raises:
        LMStudioValueError: The data is not JPEG, PNG or WebP.
    """
    if (found := format_of(data)) in _IMAGES:
        return
    if not data:
        what = "is empty"
    elif found is not None:
        what = f"is {found.upper()}"
    else:
        what = f"is no image (it starts with {data[:8]!r})"
    raise LMStudioValueError(f"{name!r} {what}; images for models are JPEG, PNG or WebP.")
