"""Writing small GGUF files, right ones and wrong ones, for tests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def encoded(value: Any) -> bytes:
    """A metadata value with its type in front."""
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + text(value)
    elements = [encoded(element) for element in value]
    kind = elements[0][:4] if elements else struct.pack("<I", U32)
    body = b"".join(element[4:] for element in elements)
    return struct.pack("<I", ARRAY) + kind + struct.pack("<Q", len(elements)) + body


def gguf(
    metadata: Mapping[str, Any],
    tensors: Sequence[tuple[str, tuple[int, ...]]] = (),
    *,
    version: int = 3,
) -> bytes:
    """A whole file; the tensors are of F32 zeros."""
    pairs = b"".join(text(key) + encoded(value) for key, value in metadata.items())
    listing, offset = b"", 0
    for name, shape in tensors:
        listing += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        listing += struct.pack("<IQ", 0, offset)
        elements = 1
        for length in shape:
            elements *= length
        offset += 4 * elements
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata)) + pairs + listing
    return head + bytes(-len(head) % 32) + bytes(offset) if tensors else head


def model(
    architecture: str = "llama", tensors: Sequence[tuple[str, tuple[int, ...]]] = (), **more: Any
) -> bytes:
    """A model's file: ``more`` has ``__`` in place of dots."""
    metadata = {"general.architecture": architecture, "general.type": "model"}
    metadata |= {key.replace("__", "."): value for key, value in more.items()}
    return gguf(metadata, tensors or [("token_embd.weight", (4, 8))])


def put(folder: Path, place: str, data: bytes) -> Path:
    """Write ``data`` to ``place`` below ``folder``."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
