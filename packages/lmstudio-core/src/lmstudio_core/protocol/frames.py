"""Frames: one JSON object per text message, and the wrapper that some values travel in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import pydantic_core

from ..shapes import as_list, as_mapping, is_list
from .operations import VOID

__all__ = ["decode_frame", "decode_value", "encode_frame", "encode_value"]


def encode_frame(frame: Mapping[str, Any]) -> bytes:
    """The UTF-8 text of a frame; keys whose value is ``VOID`` are left out."""
    if VOID in frame.values():
        frame = {key: value for key, value in frame.items() if value is not VOID}
    # A server drops what is not JSON without a word, so NaN goes out as null, as JavaScript does it.
    return pydantic_core.to_json(frame, inf_nan_mode="null")


def decode_frame(data: bytes | str) -> dict[str, Any] | None:
    """The frame in a text message, or ``None`` for what is not a JSON object."""
    try:
        frame: Any = pydantic_core.from_json(data)
    except ValueError:
        return None
    return cast("dict[str, Any]", frame) if isinstance(frame, dict) else None


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
