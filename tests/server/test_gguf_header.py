"""Reading GGUF headers: right files, and files that are wrong in every way."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from gguf_files import encoded, gguf, model, put, text
from hypothesis import given, settings
from hypothesis import strategies as st
from pocket_models import POCKET

from lmstudio_server.library import GgufError, read_header

if TYPE_CHECKING:
    from pathlib import Path


def test_pocket() -> None:
    header = read_header(POCKET)
    assert header.text("general.architecture") == "llama"
    assert header.integer("llama.context_length") == 2048
    assert header.parameter_count == 984_192
    assert header.needed_bytes == POCKET.stat().st_size
    # The vocabulary is stepped over, and the template behind it is read all the same.
    assert header.metadata["tokenizer.ggml.tokens"] is None
    assert "<|im_start|>" in (header.text("tokenizer.chat_template") or "")


def test_all_sorts_of_values(tmp_path: Path) -> None:
    values = {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": "ä",
        "e": [1, 2],
        "f": ["x", "y"],
        "g": [],
        "h": list(range(100)),
        "i": ["long"] * 100,
        "j": "last",
    }
    path = put(tmp_path, "x.gguf", gguf(values))
    metadata = read_header(path).metadata
    assert metadata == {**values, "e": (1, 2), "f": ("x", "y"), "g": (), "h": None, "i": None}
    header = read_header(path)
    assert header.text("a") is None
    assert header.integer("c") is None
    assert header.integer("a") == 1


def test_version_two_is_read_and_others_are_named(tmp_path: Path) -> None:
    assert read_header(put(tmp_path, "2.gguf", gguf({"a": 1}, version=2))).version == 2
    with pytest.raises(GgufError, match="version 1 is not supported"):
        read_header(put(tmp_path, "1.gguf", gguf({}, version=1)))
    with pytest.raises(GgufError, match="byte order"):
        read_header(put(tmp_path, "big.gguf", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"GG", "not a GGUF file"),
        (b"PK\x03\x04 a zip file", "not a GGUF file"),
        (b"GGUF", "cut off"),
        (gguf({"a": 1})[:-1], "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "claims to have"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "claims to have"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"x" * 20, "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 77), "type 77"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 4, 2**61),
            "claims to have",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + text("a")
            + struct.pack("<I", 9)
            + struct.pack("<IQ", 9, 1) * 40,
            "nested too deeply",
        ),
        (model()[:-1], "its tensors need"),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 1, 0)
            + text("w")
            + struct.pack("<IQQIQ", 2, 2**40, 2**20, 0, 0),
            "its tensors need",
        ),
    ],
)
def test_damaged_files(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(GgufError, match=words):
        read_header(put(tmp_path, "x.gguf", data))


def test_tensor_with_absurd_dimensions(tmp_path: Path) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("w") + struct.pack("<I", 1_000_000)
    with pytest.raises(GgufError, match="1000000 dimensions"):
        read_header(put(tmp_path, "x.gguf", head + bytes(64)))


def test_every_truncation_of_a_file_is_noticed(tmp_path: Path) -> None:
    whole = model(llama__context_length=8, a=["x", "y"], b=[1, 2, 3])
    for length in range(len(whole)):
        with pytest.raises(GgufError):
            read_header(put(tmp_path, "x.gguf", whole[:length]))
    assert read_header(put(tmp_path, "x.gguf", whole)).parameter_count == 32


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(4, 250), st.integers(0, 255)), max_size=6))
def test_changed_bytes_give_a_header_or_an_error(
    changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(model(llama__context_length=8, a=["x", "y"], b=[1, 2, 3], c=1.5))
    for at, value in changes:
        data[at % len(data)] = value
    path = put(tmp_path_factory.getbasetemp(), "changed.gguf", bytes(data))
    try:
        read_header(path)
    except GgufError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


def test_encoder_of_these_tests() -> None:
    assert encoded(1) == b"\x04\0\0\0\1\0\0\0"
