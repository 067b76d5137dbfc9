"""``lmstudio embed`` and ``lmstudio similar``: formats, interruptions, failures, searches."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from unloaded_models import unloaded_at

from lmstudio_cli.command import build
from lmstudio_embed import search
from lmstudio_embed.commands import plain
from lmstudio_embed.commands.journal import Journal
from lmstudio_testing import FakeServer, ServerFailure

INFO = {
    "type": "embedding",
    "modelKey": "tiny",
    "format": "gguf",
    "displayName": "Tiny",
    "path": "tests/tiny",
    "sizeBytes": 1,
    "maxContextLength": 1000,
    "identifier": "tiny",
    "instanceReference": "r",
    "contextLength": 1000,
}

BANANA = "no vector for banana\nEndpoint: embedding.embedString"


class Vectors:
    """What the server makes of texts: as many as it likes, unless told to fail at one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing: str | None = None

    def __call__(self, parameter: dict[str, Any]) -> Any:
        text = parameter["inputString"]
        self.asked.append(text)
        if text == self.failing:
            raise ServerFailure(f"no vector for {text}")
        return {"embedding": [float(len(text)), float(text.count("a")), 0.1]}


@pytest.fixture
def vectors() -> Vectors:
    return Vectors()


@pytest.fixture
def server(vectors: Vectors) -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.on("embedding.embedString", vectors)
        server.on("embedding.getModelInfo", INFO)
        server.on("embedding.listLoaded", [INFO])
        server.on("embedding.countTokens", lambda p: {"tokenCount": len(p["inputString"].split())})
        server.on_channel("embedding.getOrLoad", [{"type": "alreadyLoaded", "info": INFO}])
        yield server


def lmstudio(server: FakeServer, *arguments: object, **options: Any) -> Result:
    command = [*map(str, arguments), "--host", server.api_host]
    return CliRunner().invoke(build(), command, **options)


def text_file(folder: Path, content: str = "apple\nbanana\n\n  \ncar\n") -> Path:
    path = folder / "texts.txt"
    path.write_text(content, encoding="utf-8")
    return path


def read_npy(path: Path) -> tuple[str, list[tuple[float, ...]]]:
    """The header and rows of a file, read by the format's rules and not by numpy."""
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    assert (10 + length) % 64 == 0
    return data[10 : 10 + length].decode(), list(struct.iter_unpack("<3f", data[10 + length :]))


ROWS = [(5, 1, 0.1), (6, 3, 0.1), (3, 1, 0.1)]


# -- formats ---------------------------------------------------------------------------------------


def test_npy(server: FakeServer, tmp_path: Path) -> None:
    out = tmp_path / "v.npy"
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", out, "--model", "tiny")
    assert done.exit_code == 0, done.output
    assert "Embedded 3 texts into" in done.stderr
    assert "3 dimensions" in done.stderr
    assert done.stdout == ""
    header, rows = read_npy(out)
    assert "'descr': '<f4'" in header
    assert "'shape': (3, 3)" in header
    assert rows == [pytest.approx(row) for row in ROWS]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.txt", "v.npy"]


def test_npy_is_what_numpy_reads(server: FakeServer, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    out = tmp_path / "v.npy"
    lmstudio(server, "embed", text_file(tmp_path), "--out", out)
    array = numpy.load(out, mmap_mode="r", allow_pickle=False)
    assert (array.shape, array.dtype) == ((3, 3), numpy.float32)
    assert array == pytest.approx(numpy.array(ROWS))


def test_jsonl_from_standard_input(server: FakeServer, tmp_path: Path) -> None:
    out = tmp_path / "v.jsonl"
    done = lmstudio(server, "embed", "-", "--out", out, input="häuser\r\nbanana\n")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == ["häuser", "banana"]
    assert lines[1]["embedding"] == [6, 3, 0.100000001]  # as a float32 has it


def test_parquet(server: FakeServer, tmp_path: Path, vectors: Vectors) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="lmstudio-embed[parquet]")
    vectors.failing = "banana"
    out = tmp_path / "v.parquet"
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", out, "--on-error", "skip")
    assert "3 texts, 1 of them without a vector" in done.stderr
    table = parquet.read_table(out)
    assert table.column("text").to_pylist() == ["apple", "banana", "car"]
    assert table.column("error").to_pylist() == [None, BANANA, None]
    assert table.column("embedding").to_pylist()[2] == pytest.approx(ROWS[2])
    assert json.loads(table.schema.metadata[b"lmstudio"])["model"] == "tiny"


def test_failed_texts_keep_their_rows(server: FakeServer, tmp_path: Path, vectors: Vectors) -> None:
    vectors.failing = "banana"
    source = text_file(tmp_path)
    lmstudio(server, "embed", source, "--out", tmp_path / "v.npy", "--on-error", "skip")
    _, rows = read_npy(tmp_path / "v.npy")
    assert [row[0] for row in rows] == [5, pytest.approx(float("nan"), nan_ok=True), 3]
    lmstudio(server, "embed", source, "--out", tmp_path / "v.jsonl", "--on-error", "skip")
    second = json.loads((tmp_path / "v.jsonl").read_text().splitlines()[1])
    assert second == {"text": "banana", "error": BANANA}


def test_normalized_and_in_parts(server: FakeServer, tmp_path: Path, vectors: Vectors) -> None:
    long = " ".join(["word"] * 100)
    options = ("--chunk-size", "30", "--overlap", "4", "--normalize")
    out = tmp_path / "v.npy"
    done = lmstudio(server, "embed", text_file(tmp_path, long), "--out", out, *options)
    assert done.exit_code == 0, done.output
    assert len(vectors.asked) >= 4
    ((x, y, z),) = read_npy(out)[1]
    assert x * x + y * y + z * z == pytest.approx(1)


# -- interruption ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".jsonl"])
def test_a_stopped_run_goes_on_where_it_was(
    server: FakeServer, tmp_path: Path, vectors: Vectors, suffix: str
) -> None:
    texts = [f"text {n}" for n in range(40)]
    source = text_file(tmp_path, "\n".join(texts))
    command = ("embed", source, "--out", tmp_path / f"v{suffix}", "--max-in-flight", "2")
    vectors.failing = "text 30"
    stopped = lmstudio(server, *command)
    assert stopped.exit_code == 1
    assert "Text 31 ('text 30') could not be embedded: no vector for text 30" in stopped.stderr
    assert "30 texts are done and kept in" in stopped.stderr
    assert not (tmp_path / f"v{suffix}").exists()
    vectors.failing = None
    vectors.asked.clear()
    finished = lmstudio(server, *command)
    assert finished.exit_code == 0, finished.output
    assert "Going on after 30 texts" in finished.stderr
    # A set: the request that was on its way when the first run stopped may be read late.
    assert set(vectors.asked) == set(texts[30:])
    lmstudio(server, "embed", source, "--out", tmp_path / f"whole{suffix}")
    assert (tmp_path / f"v{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of Unix")
def test_the_bar_fits_into_a_narrow_terminal(server: FakeServer, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    source, out = str(text_file(tmp_path)), str(tmp_path / "v.npy")
    arguments = ("embed", source, "--out", out, "--model", "tiny", "--host", server.api_host)
    process = subprocess.run(
        [sys.executable, "-c", "from lmstudio_cli import main; main()", *arguments],
        env={**os.environ, "COLUMNS": "40"},
        stderr=theirs,
        timeout=60,
    )
    os.close(theirs)
    drawn = click.unstyle(os.read(ours, 65536).decode())
    os.close(ours)
    assert process.returncode == 0, drawn
    bars = [line for line in re.split("[\r\n]", drawn) if line.startswith("Embedding")]
    assert "3/3" in bars[-1]
    assert all(len(bar) <= 40 for bar in bars)


@pytest.mark.parametrize("options", [(), ("--restart",)])
def test_two_runs_do_not_write_the_same_file(
    server: FakeServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source, out = text_file(tmp_path), tmp_path / "v.npy"
    with Journal(tmp_path / "v.npy.partial", {}) as other:
        other.resume(iter(()))
        done = lmstudio(server, "embed", source, "--out", out, *options)
        assert done.exit_code == 1
        assert "Another run writes" in done.stderr
    assert (tmp_path / "v.npy.partial").stat().st_size > 0
    done = lmstudio(server, "embed", source, "--out", out, "--restart")
    assert done.exit_code == 0, done.output


def test_a_file_that_is_no_journal_is_left_alone(server: FakeServer, tmp_path: Path) -> None:
    precious = tmp_path / "v.npy.partial"
    for content in ("precious", "precious\n"):
        precious.write_text(content)
        done = lmstudio(server, "embed", text_file(tmp_path), "--out", tmp_path / "v.npy")
        assert "is in the way" in done.stderr
        assert precious.read_text() == content
    precious.write_text('{"lmstudio-')  # killed while it was begun
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", tmp_path / "v.npy")
    assert done.exit_code == 0, done.output


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_loses_little(
    server: FakeServer, tmp_path: Path, vectors: Vectors, how: signal.Signals
) -> None:
    """The server answers some texts and then no more; the process is killed while it waits."""
    from lmstudio_testing import NO_ANSWER

    texts = [f"text {n}" for n in range(60)]
    source, out = text_file(tmp_path, "\n".join(texts)), tmp_path / "v.npy"
    journal = tmp_path / "v.npy.partial"
    server.on(
        "embedding.embedString",
        lambda p: NO_ANSWER if p["inputString"] == "text 50" else vectors(p),
    )
    command = ["embed", str(source), "--out", str(out), "--host", server.api_host]
    code = "from lmstudio_cli.command import run; run()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command, "--max-in-flight", "1"], stderr=subprocess.PIPE
    )
    try:
        server.wait_for_request("embedding.embedString", 51)
    finally:
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert b"50 texts are done and kept" in errors
    assert not out.exists()
    kept = journal.read_text(encoding="utf-8").count('"vector"')
    if kept:  # as a power cut may leave it
        journal.write_text(journal.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    server.on("embedding.embedString", vectors)
    vectors.asked.clear()
    finished = lmstudio(server, *command[:-2])
    assert finished.exit_code == 0, finished.output
    assert vectors.asked == texts[max(0, kept - 1) :]
    assert [row[0] for row in read_npy(out)[1]] == [len(text) for text in texts]


def begun(server: FakeServer, folder: Path, vectors: Vectors) -> tuple[object, ...]:
    """A run that stopped after two of three texts."""
    vectors.failing = "car"
    command = ("embed", text_file(folder), "--out", folder / "v.npy")
    assert lmstudio(server, *command).exit_code == 1
    vectors.failing = None
    return command


def test_another_input_is_noticed(server: FakeServer, tmp_path: Path, vectors: Vectors) -> None:
    command = begun(server, tmp_path, vectors)
    text_file(tmp_path, "apple\npear\ncar\n")
    refused = lmstudio(server, *command)
    assert refused.exit_code == 1
    assert "Text 2 of the input is not what it was" in refused.stderr
    assert lmstudio(server, *command, "--restart").exit_code == 0


def test_other_options_are_noticed(server: FakeServer, tmp_path: Path, vectors: Vectors) -> None:
    command = begun(server, tmp_path, vectors)
    refused = lmstudio(server, *command, "--normalize")
    assert refused.exit_code == 1
    assert "normalize was False and is True" in refused.stderr
    assert lmstudio(server, *command).exit_code == 0


def test_a_foreign_file_is_not_touched(server: FakeServer, tmp_path: Path) -> None:
    foreign = tmp_path / "v.npy.partial"
    foreign.write_text("my notes\n")
    refused = lmstudio(server, "embed", text_file(tmp_path), "--out", tmp_path / "v.npy")
    assert "is in the way" in refused.stderr
    assert foreign.read_text() == "my notes\n"


# -- what bad input gets ---------------------------------------------------------------------------


def test_an_output_that_is_there_is_kept(server: FakeServer, tmp_path: Path) -> None:
    out = tmp_path / "v.npy"
    out.write_text("precious")
    command = ("embed", text_file(tmp_path), "--out", out)
    refused = lmstudio(server, *command)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert out.read_text() == "precious"
    assert lmstudio(server, *command, "--force").exit_code == 0
    assert len(read_npy(out)[1]) == 3


@pytest.mark.parametrize(
    ("out", "content", "said"),
    [
        ("v.csv", "a", ".npy, .parquet, .jsonl"),
        ("no/such/v.npy", "a", "does not exist"),
        ("v.npy", "\n \n", "every line is blank"),
    ],
)
def test_mistakes_are_named(
    server: FakeServer, tmp_path: Path, out: str, content: str, said: str
) -> None:
    done = lmstudio(server, "embed", text_file(tmp_path, content), "--out", tmp_path / out)
    assert done.exit_code != 0
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


def test_what_is_not_utf8_is_named_by_line(server: FakeServer, tmp_path: Path) -> None:
    source = tmp_path / "latin.txt"
    source.write_bytes(b"fine\nH\xe4user\n")
    done = lmstudio(server, "embed", source, "--out", tmp_path / "v.npy")
    assert done.exit_code == 1
    assert "Line 2 is not UTF-8" in done.stderr


def test_no_vector_at_all(server: FakeServer, tmp_path: Path) -> None:
    server.on("embedding.embedString", ServerFailure("out of order"))
    command = ("embed", text_file(tmp_path), "--out", tmp_path / "v.npy", "--on-error", "skip")
    done = lmstudio(server, *command)
    assert done.exit_code == 1
    assert "None of the 3 texts could be embedded; the first: out of order" in done.stderr


def test_without_pyarrow_parquet_says_what_to_install(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vectors: Vectors
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", tmp_path / "v.parquet")
    assert done.exit_code == 1
    assert "(the extra lmstudio-embed[parquet])" in done.stderr
    assert "pip install pyarrow" in done.stderr
    assert vectors.asked == []


def test_a_server_without_embedding_models(server: FakeServer, tmp_path: Path) -> None:
    server.on("embedding.listLoaded", [])
    server.on("system.listDownloadedModels", [])
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", tmp_path / "v.npy")
    assert "lmstudio get all-minilm-l6-v2" in str(done.exception)


# -- similar ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".jsonl", ".parquet"])
def test_similar_finds_the_nearest(server: FakeServer, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("numpy")
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    source, out = text_file(tmp_path), tmp_path / f"v{suffix}"
    lmstudio(server, "embed", source, "--out", out)
    texts = ("--texts", source) if suffix == ".npy" else ()
    done = lmstudio(server, "similar", "panama", "--index", out, "-k", "2", *texts)
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()
    assert first == "1.0000  banana"
    assert second.endswith("car")
    done = lmstudio(server, "similar", "panama", "--index", out, "-k", "1", "--json", *texts)
    assert json.loads(done.stdout) == {"row": 1, "score": pytest.approx(1), "text": "banana"}


@pytest.mark.parametrize("failing", ["apple", "banana"])
@pytest.mark.parametrize("suffix", [".npy", ".jsonl", ".parquet"])
def test_rows_are_those_of_the_texts_whichever_failed(
    server: FakeServer, tmp_path: Path, vectors: Vectors, suffix: str, failing: str
) -> None:
    pytest.importorskip("numpy")
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    vectors.failing = failing
    source, out = text_file(tmp_path), tmp_path / f"v{suffix}"
    lmstudio(server, "embed", source, "--out", out, "--on-error", "skip")
    done = lmstudio(server, "similar", "car", "--index", out, "--json", "--texts", source)
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["row"], first["text"]) == (2, "car")
    assert second["text"] != failing


def test_a_model_that_is_gone_skips_no_text(
    server: FakeServer, tmp_path: Path, vectors: Vectors
) -> None:
    server.on("embedding.embedString", unloaded_at("car", vectors))
    out = tmp_path / "v.npy"
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", out, "--on-error", "skip")
    assert "It was unloaded" in str(done.exception)
    assert "2 texts are done and kept" in done.stderr
    server.on("embedding.embedString", vectors)
    done = lmstudio(server, "embed", text_file(tmp_path), "--out", out, "--on-error", "skip")
    assert "Embedded 3 texts into" in done.stderr


def test_similar_without_texts_gives_rows(server: FakeServer, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    lmstudio(server, "embed", text_file(tmp_path), "--out", tmp_path / "v.npy")
    done = lmstudio(server, "similar", "panama", "--index", tmp_path / "v.npy", "-k", "1")
    assert done.stdout == "1.0000  row 1\n"


def test_similar_says_what_does_not_fit(server: FakeServer, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    source, out = text_file(tmp_path), tmp_path / "v.npy"
    lmstudio(server, "embed", source, "--out", out)
    other = tmp_path / "other.txt"
    other.write_text("one\n")
    done = lmstudio(server, "similar", "x", "--index", out, "--texts", other)
    assert "has 1 text, and" in done.stderr
    assert "3 vectors" in done.stderr
    server.on("embedding.embedString", {"embedding": [1.0, 2.0]})
    done = lmstudio(server, "similar", "x", "--index", out)
    assert "made by another model" in done.stderr
    source.write_text("not vectors")
    broken = tmp_path / "broken.npy"
    broken.write_text("not vectors")
    done = lmstudio(server, "similar", "x", "--index", broken)
    assert done.exit_code == 1
    assert "is not a file of vectors: numpy finds no array" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a"}', "no line of it has an embedding"),
        ('{"embedding": [1, 2]}\n{"embedding": [1, 2, 3]}', "line 2 has 3 numbers, lines before"),
        ("[1, 2]", "'list' object has no attribute"),
        ('{"embedding": ["x"]}', "could not convert"),
        ('{"embedding": 5}', "has no len"),
    ],
)
def test_lines_that_hold_no_vectors(
    server: FakeServer, tmp_path: Path, content: str, said: str
) -> None:
    pytest.importorskip("numpy")
    index = tmp_path / "v.jsonl"
    index.write_text(content)
    done = lmstudio(server, "similar", "x", "--index", index)
    assert done.exit_code == 1
    assert f"{index} is not a file of vectors: " in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("array", [[["a", "b"]], [[1j]], [1.0]])
def test_arrays_that_hold_no_vectors(server: FakeServer, tmp_path: Path, array: Any) -> None:
    numpy = pytest.importorskip("numpy")
    index = tmp_path / "v.npy"
    numpy.save(index, numpy.array(array))
    done = lmstudio(server, "similar", "x", "--index", index)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is not a file of vectors: it holds" in done.stderr


def test_a_parquet_file_that_holds_no_vectors(server: FakeServer, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    parquet = pytest.importorskip("pyarrow.parquet", reason="lmstudio-embed[parquet]")
    table = pytest.importorskip("pyarrow").table({"embedding": ["a"]})
    index = tmp_path / "v.parquet"
    parquet.write_table(table, index)
    done = lmstudio(server, "similar", "x", "--index", index)
    assert done.exit_code == 1
    assert "is not a file of vectors" in done.stderr


# -- texts that are too long -----------------------------------------------------------------------

LONG = "a short text\n" + "word " * 1200 + "\nthe end\n"


def test_the_advice_for_a_long_text_can_be_followed(server: FakeServer, tmp_path: Path) -> None:
    source, out = text_file(tmp_path, LONG), tmp_path / "v.npy"
    command = ("embed", source, "--out", out)
    failed = lmstudio(server, *command)
    assert failed.exit_code == 1
    assert "Text 2 ('word word" in failed.stderr
    assert "has 1,200 tokens, and the model takes 1,000" in failed.stderr
    assert "add --chunk to embed" in failed.stderr
    assert "chunk=True" not in failed.stderr
    assert "position" not in failed.stderr
    assert "\n1 text is done and kept in" in failed.stderr
    followed = lmstudio(server, *command, "--chunk")
    assert followed.exit_code == 0, followed.output
    assert "Going on after 1 text done before." in followed.stderr
    assert len(read_npy(out)[1]) == 3


def test_a_run_with_added_parts_may_be_interrupted_again(
    server: FakeServer, tmp_path: Path, vectors: Vectors
) -> None:
    source, out = text_file(tmp_path, LONG), tmp_path / "v.npy"
    command = ("embed", source, "--out", out)
    assert lmstudio(server, *command).exit_code == 1
    vectors.failing = "the end"
    assert lmstudio(server, *command, "--chunk", "--overlap", "10").exit_code == 1
    vectors.failing = None
    refused = lmstudio(server, *command)
    assert refused.exit_code == 1
    assert "chunk was in parts as large as they can be, 10 of them in common and is off" in (
        refused.stderr
    )
    done = lmstudio(server, *command, "--chunk", "--overlap", "10")
    assert "Going on after 2 texts done before." in done.stderr
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("options", [("--chunk-size", "8"), ("--chunk", "--normalize")])
def test_what_would_change_short_texts_is_refused(
    server: FakeServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source, out = text_file(tmp_path, LONG), tmp_path / "v.npy"
    assert lmstudio(server, "embed", source, "--out", out).exit_code == 1
    refused = lmstudio(server, "embed", source, "--out", out, *options)
    assert refused.exit_code == 1
    assert "was begun otherwise: chunk was off and is in parts " in refused.stderr
    assert "None" not in refused.stderr


# -- without numpy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".jsonl", ".parquet"])
def test_similar_needs_no_numpy(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    source, out = text_file(tmp_path), tmp_path / f"v{suffix}"
    lmstudio(server, "embed", source, "--out", out)
    texts = ("--texts", source) if suffix == ".npy" else ()
    command = ("similar", "panama", "--index", out, *texts)
    there = [lmstudio(server, *command, *options).stdout for options in ((), ("--json",))]
    monkeypatch.setitem(sys.modules, "numpy", None)
    done = [lmstudio(server, *command, *options) for options in ((), ("--json",))]
    assert [one.exit_code for one in done] == [0, 0], done[0].output
    assert done[0].stdout.splitlines()[0] == "1.0000  banana"
    assert [one.stdout for one in done] == there


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not vectors", "it holds no array of numbers"),
        (b"\x93NUMPY\x01\x00", "its head cannot be read"),
        (b"\x93NUMPY\x01\x00\x05\x00{'a':", "its head cannot be read"),
    ],
)
def test_files_without_vectors_are_named_without_numpy(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    index = tmp_path / "v.npy"
    index.write_bytes(content)
    done = lmstudio(server, "similar", "x", "--index", index)
    assert done.exit_code == 1
    assert f"{index} is not a file of vectors: {said}" in done.stderr


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    rows = numpy.random.default_rng(1).normal(size=(50, 7)).astype(kind)
    rows[3] = numpy.nan
    rows[4] = 0
    rows[6] = rows[5]
    numpy.save(tmp_path / "v.npy", rows)
    found = plain.read_npy(tmp_path / "v.npy")
    assert found.shape == (50, 7)
    query = rows[5].tolist()
    expected = search(query, rows.astype("f4"), k=12)
    nearest = plain.search_plainly(query, found, 12)
    assert [one.position for one in nearest] == [one.position for one in expected]
    assert [one.score for one in nearest] == pytest.approx(
        [one.score for one in expected], abs=1e-5
    )


def test_integers_need_numpy(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    for array in (numpy.ones((2, 2), dtype="i4"), numpy.ones(2, dtype="f4")):
        numpy.save(tmp_path / "v.npy", array)
        with pytest.raises(ValueError, match=r"numpy is needed|not a matrix"):
            plain.read_npy(tmp_path / "v.npy")
