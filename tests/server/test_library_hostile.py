"""Whatever lies in a folder of models: it is one line of the log, and no other model's problem."""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gguf_files import ARRAY, STRING, gguf, model, put, text

from lmstudio_server.library import Library
from lmstudio_server.library import gguf as headers
from lmstudio_server.library.gguf import GgufError, read_header

PATIENCE = 30.0


def good(folder: Path) -> Path:
    return put(folder, "acme/Good-GGUF/good-q8_0.gguf", model())


def scanned(folder: Path) -> list[str]:
    """The keys that a scan finds, within a limit; whatever it does not open keeps nobody waiting."""
    library = Library([folder], bundled=False)
    with ThreadPoolExecutor(1) as threads:
        models = threads.submit(library.scan).result(PATIENCE)
        assert threads.submit(library.scan).result(PATIENCE) == models
        threads.submit(library.find, "good").result(PATIENCE)
    json.dumps([model.key for model in models]).encode()
    for found in models:
        f"{found.path}{found.key}{found.display_name}{found.problem}".encode()  # can be told
    return [found.key for found in models if found.problem is None]


def yaml_with(content: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        put(folder, "acme/virtual/model.yaml", content.encode())

    return make


def fifo(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / "acme").mkdir(exist_ok=True)
        os.mkfifo(folder / "acme" / name)

    return make


def link(target: str, name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).symlink_to(target)


def odd_name(name: bytes) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        path = os.path.join(os.fsencode(folder), name)  # noqa: PTH118 - bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - bytes
        Path(os.fsdecode(path)).write_bytes(model())

    return make


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
HEAD = "model: acme/virtual\nbase: acme/good-gguf\n"


@pytest.mark.skipif(os.name == "nt", reason="needs names and files that Windows has not")
@pytest.mark.parametrize(
    "make",
    [
        fifo("pipe.gguf"),
        fifo("model.yaml"),
        link("/dev/zero", "zero.gguf"),
        link("/dev/zero", "model.yaml"),
        link("nowhere", "model.yaml"),
        odd_name(b"bad-\xff.gguf"),
        odd_name(b"bad\xff/deep/good.gguf"),
        odd_name(b"a\n2026-01-01 00:00:00 ERROR forged.gguf"),
        odd_name(b"a\x1b[2J.gguf"),
        odd_name(b"x\x7f/model.yaml"),
        yaml_with(HEAD + "config: &c {load: {fields: [{key: k, value: *c}]}}\n"),
        yaml_with(LAUGHS + HEAD + "config: {load: {fields: [{key: k, value: *a11}]}}\n"),
        yaml_with(HEAD + "date: 2001-99-99\n"),
        yaml_with(HEAD + "config: {load: {fields: [{key: k, value: 2001-01-01}]}}\n"),
        yaml_with(HEAD + "config: {load: {fields: [{key: k, value: .inf}]}}\n"),
        yaml_with(HEAD + "number: " + "9" * 5000 + "\n"),
        yaml_with(HEAD + 'text: "\\ud800"\n'),
        yaml_with(HEAD + "x: " + "[" * 20000),
        yaml_with("x" * 300_000),
        yaml_with("- \x00"),
        yaml_with("!!python/object/apply:os.system [true]\n"),
    ],
    ids=range(21),
)
def test_what_is_no_model_is_one_line_in_the_log(
    make: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good(tmp_path)
    make(tmp_path)
    assert scanned(tmp_path) == ["good"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) <= 1, told
    assert all(line.isprintable() for line in told)
    assert told or (tmp_path / "model.yaml").is_symlink()


def test_names_that_differ_by_case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "acme/Other/m.gguf", model())
    if (tmp_path / "ACME").exists():
        pytest.skip("this file system knows no case")
    put(tmp_path, "acme/Good/M.gguf", model())
    put(tmp_path, "acme/Good/m.gguf", model())
    put(tmp_path, "ACME/good/m.gguf", model())
    keys = scanned(tmp_path)
    assert len(keys) == len(set(keys)) == 3
    assert len(caplog.records) == 1
    assert "by case alone" in caplog.text


@pytest.mark.parametrize("length", [0, 2**31, 2**32 - 1, 2**64 - 1, -5])
def test_absurd_context_lengths_are_unknown_ones(length: int, tmp_path: Path) -> None:
    number = struct.pack("<Iq" if length < 0 else "<IQ", 11 if length < 0 else 10, length)
    name = struct.pack("<I", STRING)
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + text("general.architecture") + name
    data += text("llama") + text("llama.context_length") + number
    put(tmp_path, "acme/Good/good.gguf", data)
    (found,) = Library([tmp_path], bundled=False).scan()
    assert (found.problem, found.max_context_length) == (None, 0)


def test_a_split_model_of_many_parts(tmp_path: Path) -> None:
    put(tmp_path, "a/b/m-00001-of-99999.gguf", model())
    put(tmp_path, "a/c/n-00001-of-00900.gguf", model())
    for found in Library([tmp_path], bundled=False).scan():
        assert "missing" in (found.problem or "")
        assert len(found.problem or "") < 300


def claims(pairs: int, tensors: int, *parts: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, pairs) + b"".join(parts)


def strings(count: int) -> bytes:
    return text("a") + struct.pack("<IIQ", ARRAY, STRING, count)


NESTED = struct.pack("<IIQ", ARRAY, ARRAY, 1_000_000) + struct.pack("<IQ", STRING, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (claims(1, 0, strings(52_000_000)), "texts"),
        (claims(2, 0, strings(3), bytes(24), strings(2_000_000)), "texts"),
        (claims(9_999_999, 0), "metadata entries"),
        (claims(0, 9_999_999), "tensors"),
        (claims(1, 0, text("a") + struct.pack("<IQ", STRING, 2**28)), "a text in its header"),
        (claims(1, 0, struct.pack("<Q", 2**20)), "a text in its header"),
        (claims(1, 1, text("a") + struct.pack("<II", 4, 1), text("w") + struct.pack("<I4QIQ", 4, *[2**60] * 4, 99, 0)), "weights"),
    ],
)  # fmt: skip
def test_sparse_files_that_claim_much(data: bytes, words: str, tmp_path: Path) -> None:
    file = put(tmp_path, "a.gguf", data)
    os.truncate(file, 2**29)  # 4 KB on the disk
    began = time.thread_time()
    with pytest.raises(GgufError, match=words):
        read_header(file)
    assert time.thread_time() - began < headers.MAX_SECONDS


def test_a_header_has_a_limit_on_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10**6, 4))
    monkeypatch.setattr(time, "thread_time", lambda: next(ticks))
    file = put(tmp_path, "a.gguf", claims(1, 0, strings(100_000)))
    os.truncate(file, 2**21)
    with pytest.raises(GgufError, match="more than 10 s"):
        read_header(file)


def test_a_header_has_a_limit_on_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_READ_BYTES", 500)
    file = put(tmp_path, "a.gguf", gguf({"a": "x" * 600}))
    with pytest.raises(GgufError, match="more than 500 bytes"):
        read_header(file)


def test_one_scan_at_a_time_and_its_result_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(tmp_path)
    library = Library([tmp_path], bundled=False)
    looks: list[int] = []
    begun, go_on = threading.Event(), threading.Event()
    look = library._look  # pyright: ignore[reportPrivateUsage] - what is counted

    def counted() -> object:
        looks.append(len(looks))
        begun.set()
        assert go_on.wait(PATIENCE)
        return look()

    monkeypatch.setattr(library, "_look", counted)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(library.scan)
        assert begun.wait(PATIENCE)
        put(tmp_path, "acme/New/new.gguf", model())
        waiting = threading.Barrier(9)

        def later() -> list[str]:
            waiting.wait(PATIENCE)
            return [found.key for found in library.scan()]

        others = [threads.submit(later) for _ in range(8)]
        waiting.wait(PATIENCE)
        go_on.set()
        first.result(PATIENCE)
        # They came after the new file did, and so did the scan that they share.
        assert {tuple(other.result(PATIENCE)) for other in others} == {("good", "new")}
    assert 2 <= len(looks) <= 9
