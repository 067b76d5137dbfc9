"""Reading the header of a GGUF file: its metadata and the list of its tensors.

The weights are not read, and long arrays (a tokenizer's vocabulary) are stepped over. Every length in
the file is checked against the file's size before it is believed, so a damaged file gives a
``GgufError`` and never a huge allocation. A sparse file of 4 KB may claim any size, so there are limits on
what a header may hold, too, and on the time of the processor that reading it may take.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from .walking import open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAGIC = b"GGUF"
_KEPT_ELEMENTS = 64
"""Longer arrays are stepped over: what describes a model is short."""

MAX_PAIRS: Final = 10_000
MAX_TENSORS: Final = 100_000
MAX_STRINGS: Final = 2_000_000
"""In all arrays together; the largest vocabularies have 300,000 tokens and twice as many merges."""
MAX_KEY_BYTES: Final = 65_535
MAX_STRING_BYTES: Final = 4 * 2**20
MAX_READ_BYTES: Final = 32 * 2**20
"""What is read, not what is stepped over."""
MAX_WEIGHTS: Final = 10**15
MAX_SECONDS: Final = 10.0
"""Of this thread's processor, so that a slow disk or a busy machine makes no file a bad one."""
_LOOK_EVERY: Final = 4096
"""Strings between two looks at the clock."""

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MAX_DIMENSIONS = 4
_MAX_NESTING = 4

# Elements and bytes per block, by ggml's number for the type.
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
}

Scalar = int | float | bool | str
Value = Scalar | tuple[Scalar, ...] | None
"""A metadata value; ``None`` stands for an array too long to keep."""


class GgufError(Exception):
    """A file is no GGUF file, or a damaged one; the message says which and where."""


@dataclass(frozen=True)
class GgufHeader:
    """What the header of a GGUF file says."""

    version: int
    metadata: Mapping[str, Value]
    tensor_count: int
    parameter_count: int
    """The number of weights in this file."""
    needed_bytes: int
    """How long the file has to be to hold all its tensors."""

    def text(self, key: str) -> str | None:
        """Return the string under ``key``, or ``None``."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """Return the whole number under ``key``, or ``None``."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_header(path: Path, *, whole: frozenset[str] = frozenset()) -> GgufHeader:
    """Read the header of the GGUF file at ``path``.

    Args:
        path: The file.
        whole: Keys of arrays to keep however long they are.

    Raises:
        GgufError: the file is empty, no GGUF, damaged, or cut off.
        OSError: it cannot be read at all, or is no regular file.
    """
    with open_regular(path) as (stream, size):
        return _HeaderReader(stream, size, whole).read()


class _HeaderReader:
    """Reads one file from its beginning."""

    def __init__(self, stream: BinaryIO, size: int, whole: frozenset[str]) -> None:
        self._stream = stream
        self._size = size
        self._whole = whole
        self._bytes_read = 0
        self._strings = 0
        self._end = time.thread_time() + MAX_SECONDS

    def read(self) -> GgufHeader:
        self._check_magic()
        version = self._number("<I")
        if version not in (2, 3):
            raise GgufError(_version_problem(version))
        tensor_count = self._count("<Q", least_bytes=24, most=MAX_TENSORS, what="tensors")
        pair_count = self._count("<Q", least_bytes=13, most=MAX_PAIRS, what="metadata entries")
        metadata: dict[str, Value] = {}
        for _ in range(pair_count):
            key = self._string(MAX_KEY_BYTES)
            kept = None if key in self._whole else _KEPT_ELEMENTS
            metadata[key] = self._value(self._number("<I"), kept)
        parameters, data_bytes = self._tensors(tensor_count)
        alignment = metadata.get("general.alignment")
        if not isinstance(alignment, int) or alignment <= 0:
            alignment = 32
        start = -(-self._stream.tell() // alignment) * alignment
        needed = start + data_bytes if tensor_count else self._stream.tell()
        if needed > self._size:
            raise GgufError(
                f"the file is cut off: it has {self._size:,} bytes, and its tensors need {needed:,}"
            )
        if parameters > MAX_WEIGHTS:  # of types that are taken to need no bytes
            raise GgufError(f"the file is damaged: it claims to have {parameters:,} weights")
        return GgufHeader(version, metadata, tensor_count, parameters, needed)

    def _check_magic(self) -> None:
        if self._size == 0:
            raise GgufError("the file is empty")
        magic = self._stream.read(4)
        if magic != MAGIC:
            raise GgufError(f"not a GGUF file: it begins with {magic!r} in place of {MAGIC!r}")

    def _take(self, length: int) -> bytes:
        left = self._size - self._stream.tell()
        if length > left:
            raise GgufError(
                f"the file is cut off or damaged: at byte {self._stream.tell():,} its header needs "
                f"{length:,} more bytes, and there are {left:,}"
            )
        self._bytes_read += length
        if self._bytes_read > MAX_READ_BYTES:
            raise GgufError(f"its header has more than {MAX_READ_BYTES:,} bytes")
        return self._stream.read(length)

    def _skip(self, length: int) -> None:
        left = self._size - self._stream.tell()
        if length > left:
            self._take(length)  # raises
        self._stream.seek(length, 1)

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(number)

    def _count(self, form: str, *, least_bytes: int, what: str, most: int | None = None) -> int:
        """Read a count, and refuse one the rest of the file has no room for."""
        count = self._number(form)
        if count * least_bytes > self._size or (most is not None and count > most):
            raise GgufError(f"the file is damaged: it claims to have {count:,} {what}")
        return count

    def _string(self, most_bytes: int = MAX_STRING_BYTES) -> str:
        length = self._number("<Q")
        # What the file has no room for is cut off, which ``_take`` says.
        if most_bytes < length <= self._size - self._stream.tell():
            raise GgufError(f"the file is damaged: a text in its header has {length:,} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _claim(self, strings: int) -> None:
        """Count elements that have to be read one by one."""
        self._strings += strings
        if self._strings > MAX_STRINGS:
            raise GgufError(f"its header has more than {MAX_STRINGS:,} texts")

    def _look_at_clock(self) -> None:
        if time.thread_time() > self._end:
            raise GgufError(f"reading its header takes more than {MAX_SECONDS:g} s")

    def _value(self, kind: int, kept: int | None, nesting: int = 0) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(kept, nesting)
        form = _SCALARS.get(kind)
        if form is None:
            raise GgufError(f"the file is damaged: there is no metadata type {kind}")
        scalar: int | float | bool = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return scalar

    def _array(self, kept_elements: int | None, nesting: int) -> Value:
        """Read an array, or step over one of more than ``kept_elements``."""
        kind = self._number("<I")
        if kind == _ARRAY and nesting >= _MAX_NESTING:
            raise GgufError("the file is damaged: its metadata is nested too deeply")
        element = 8 if kind == _STRING else 12 if kind == _ARRAY else 1
        count = self._count("<Q", least_bytes=element, what="elements in an array")
        too_long = kept_elements is not None and count > kept_elements
        if kind in _SCALARS and too_long:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
            return None
        self._claim(count)
        kept: list[Scalar] = []
        for n in range(count):
            if n % _LOOK_EVERY == 0:
                self._look_at_clock()
            if kind == _STRING and too_long:
                self._skip(self._number("<Q"))
                continue
            value = self._value(kind, kept_elements, nesting + 1)
            if isinstance(value, (int, float, str)):
                kept.append(value)
        return tuple(kept) if len(kept) == count else None

    def _tensors(self, count: int) -> tuple[int, int]:
        """Read the list of tensors; return the number of weights and of bytes they take."""
        parameters = end = 0
        for _ in range(count):
            name = self._string(MAX_KEY_BYTES)
            dimensions = self._number("<I")
            if dimensions > _MAX_DIMENSIONS:
                raise GgufError(f"the file is damaged: tensor {name!r} has {dimensions} dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= self._number("<Q")
            # A type this table does not know yet is taken to need nothing.
            per_block, block_bytes = _BLOCKS.get(self._number("<I"), (1, 0))
            offset = self._number("<Q")
            parameters += elements
            end = max(end, offset + -(-elements // per_block) * block_bytes)
        return parameters, end


def _version_problem(version: int) -> str:
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in (2, 3):
        return "the file is written for machines with the other byte order"
    return f"GGUF version {version} is not supported (2 and 3 are)"
