"""Writing a GGUF file: metadata, the list of tensors, then their data, block by block.

Only what a conversion here needs. The format's own package would bring numpy along.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

__all__ = ["GgufWriter", "TargetTensor", "TensorType", "as_float16"]

_ALIGNMENT = 32
_VERSION = 3
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

Value = bool | int | float | str | list[str] | list[int]


class TensorType(IntEnum):
    """ggml's numbers for the types of tensors."""

    F32 = 0
    F16 = 1

    @property
    def width(self) -> int:
        """Bytes per element."""
        return 4 if self is TensorType.F32 else 2


@dataclass(frozen=True)
class TargetTensor:
    """One tensor to be written; ``shape`` as numpy has it, the longest stride first."""

    name: str
    shape: tuple[int, ...]
    type: TensorType

    @property
    def size(self) -> int:
        """Bytes of data."""
        return math.prod(self.shape) * self.type.width


class GgufWriter:
    """Writes one file: ``start`` once, then ``write`` for every tensor in the order given there.

    Args:
        stream: Where to write, at its beginning.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def start(self, metadata: dict[str, Value], tensors: list[TargetTensor]) -> None:
        """Write everything before the data."""
        parts = [b"GGUF", struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))]
        parts += [_text(key) + _value(value) for key, value in metadata.items()]
        offset = 0
        for tensor in tensors:
            dimensions = tensor.shape[::-1]  # ggml counts the shortest stride first
            parts.append(_text(tensor.name))
            parts.append(struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions))
            parts.append(struct.pack("<IQ", tensor.type, offset))
            offset += _padded(tensor.size)
        head = b"".join(parts)
        self._stream.write(head.ljust(_padded(len(head)), b"\0"))

    def write(self, data: bytes) -> None:
        """Write some of the current tensor's data."""
        self._stream.write(data)

    def end_tensor(self, tensor: TargetTensor) -> None:
        """Fill up to where the next tensor begins."""
        self._stream.write(bytes(_padded(tensor.size) - tensor.size))


def as_float16(data: bytes) -> bytes:
    """Little-endian float32 numbers as float16."""
    count = len(data) // 4
    return struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", data))


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    """A metadata value behind its type."""
    if isinstance(value, bool):  # before int, of which bool is one
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    if isinstance(value, float):
        return struct.pack("<If", _F32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    return struct.pack("<I", _ARRAY) + _elements(value)


def _elements(values: list[str] | list[int]) -> bytes:
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        return struct.pack("<IQ", _STRING, len(texts)) + b"".join(map(_text, texts))
    return struct.pack(f"<IQ{len(values)}i", _I32, len(values), *values)
