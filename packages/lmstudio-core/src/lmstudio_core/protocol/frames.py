"""Frames: one JSON object per text message, and the wrapper that some values travel in.

Reading and writing are done by pydantic's JSON; what that does not take although it is legal JSON
(half a surrogate pair, deep nesting, very long numbers) goes through the standard library's.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import pydantic_core

from ..lenient import as_list, as_mapping, is_list, sendable
from .operations import VOID

__all__ = [
    "Prepared",
    "decode_frame",
    "decode_value",
    "encode_frame",
    "encode_sendable",
    "encode_value",
]


class Prepared(dict[str, Any]):  # api
    """What opens a channel, with the value of ``key`` written already: ``text`` is its JSON.

    For a value that is large and mostly the same from one request to the next. ``text_of`` writes
    its parts.
    """

    def __init__(self, data: Mapping[str, Any], key: str, text: bytes) -> None:
        super().__init__(data)
        self.key = key
        self.text = text

    @staticmethod
    def text_of(data: Mapping[str, Any]) -> bytes:
        """The JSON of a part, as frames have it.

        Raises:
            ValueError: It holds what JSON cannot hold.
        """
        return encode_sendable(data)[0]

    @property
    def rest(self) -> dict[str, Any]:
        """All but that value, to be the last in a frame."""
        return {key: value for key, value in self.items() if key != self.key}

    def complete(self, frame: bytes) -> bytes:
        """The text of a frame that ends with ``rest``, with the value in it."""
        comma = b"" if frame.endswith(b"{}}") else b","
        return b"".join((frame[:-2], comma, json.dumps(self.key).encode(), b":", self.text, b"}}"))


def encode_frame(frame: Mapping[str, Any]) -> bytes:
    """The UTF-8 text of a frame; keys whose value is ``VOID`` are left out.

    Raises:
        ValueError: It holds what JSON cannot hold.
    """
    frame = _without_void(frame)
    try:
        return _quickly(frame)
    except ValueError:
        try:
            return json.dumps(_plain(frame), separators=(",", ":"), allow_nan=False).encode()
        except RecursionError:
            raise ValueError("it is nested too deeply, or holds itself") from None


def encode_sendable(frame: Mapping[str, Any]) -> tuple[bytes, list[str]]:
    """The text of a frame with U+FFFD for halves of surrogate pairs, and the texts that had some.

    JSON may hold halves, but what reads it on the other side (a tokenizer, a template) takes
    characters alone.

    Raises:
        ValueError: It holds what JSON cannot hold.
    """
    mended: list[str] = []
    frame = _without_void(frame)
    try:
        return _quickly(frame), mended  # which takes no halves
    except ValueError:
        with contextlib.suppress(RecursionError):  # what is nested so deeply, encode_frame refuses
            frame = sendable(frame, mended)
    return encode_frame(frame), mended


def _without_void(frame: Mapping[str, Any]) -> Mapping[str, Any]:
    if VOID in frame.values():
        return {key: value for key, value in frame.items() if value is not VOID}
    return frame


def _quickly(frame: Mapping[str, Any]) -> bytes:
    # A server drops what is not JSON without a word, so NaN goes out as null, as JavaScript does it.
    return pydantic_core.to_json(frame, inf_nan_mode="null")


def _plain(value: Any) -> Any:
    """``value`` in the types that the standard library writes, as ``encode_frame`` means them."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {key if isinstance(key, str) else _key(key): _plain(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    simpler = pydantic_core.to_jsonable_python(value, inf_nan_mode="null")
    return simpler if isinstance(simpler, (bool, int, float, str)) else _plain(simpler)


def _key(key: Any) -> str:
    return next(iter(cast("dict[str, Any]", pydantic_core.to_jsonable_python({key: None}))))


def decode_frame(data: bytes | str) -> dict[str, Any] | None:
    """The frame in a text message, or ``None`` for what is not a JSON object."""
    try:
        frame: Any = pydantic_core.from_json(data)
    except ValueError:
        frame = _decode(data)
    return frame if frame.__class__ is dict else None


def _decode(data: bytes | str) -> Any:
    try:
        text = data if isinstance(data, str) else bytes(data).decode()
        return _LENIENT.decode(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | float:
    """A number without a point; Python reads only some thousand digits of one."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)  # as JavaScript reads it


_LENIENT: Final = json.JSONDecoder(parse_int=_integer, strict=False)


def encode_value(value: Any, serialization: Literal["raw", "superjson"]) -> Any:
    """A parameter or packet in its endpoint's serialization.

    In ``superjson`` a void value must be spelled out: a server that finds none stops working.
    """
    if serialization == "raw":
        return value
    if value is VOID:
        return {"json": None, "meta": {"values": ["undefined"]}}
    return {"json": value}


def decode_value(value: Any, serialization: Literal["raw", "superjson"]) -> Any:
    """The reverse of ``encode_value``; a wrapped ``Map`` becomes a dict."""
    wrapper = as_mapping(value)
    if serialization == "raw" or "json" not in wrapper:
        return value
    plain: Any = wrapper["json"]
    kinds: Any = as_mapping(wrapper.get("meta")).get("values")
    if kinds == ["undefined"]:
        return VOID
    if kinds == ["map"] and is_list(plain):
        entries = [as_list(entry) for entry in plain]
        return {entry[0]: entry[1] for entry in entries if _is_entry(entry)}
    return plain


def _is_entry(entry: list[Any]) -> bool:
    return len(entry) == 2 and isinstance(entry[0], (str, int, float))
