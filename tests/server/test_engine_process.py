"""The worker's life: loading, failing, crashing, cancelling, ending."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pocket_models import (
    MEANING,
    MEANING_ANSWER,
    POCKET,
    STORY,
    ask,
    collect,
    greedy,
    loaded,
    run,
    text_of,
)

from lmstudio_server.engines.base import EngineCrashedError, EngineError, LoadRequest, Text
from lmstudio_server.engines.llamacpp import LlamaCppEngine, supervisor
from lmstudio_server.engines.llamacpp.options import worker_options
from lmstudio_server.engines.llamacpp.supervisor import Worker
from lmstudio_server.engines.llamacpp.transport import Address, StatusError, WorkerClient

WORKER = Path(supervisor.__file__).with_name("worker.py")
ENDLESS = greedy(grammar='root ::= "word " root', overflow="roll")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def test_progress_goes_up_from_zero_to_one() -> None:
    async def test() -> None:
        progress: list[float] = []
        model = await LlamaCppEngine().load(LoadRequest(POCKET, use_mmap=False), progress.append)
        await model.unload()
        assert progress[0] == 0.0
        assert progress[-1] == 1.0
        assert progress == sorted(progress)

    run(test)


def test_progress_between_never_goes_back_and_may_be_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The convention is llama.cpp's own and may change: then progress is lost, and nothing else."""

    def state(current: str, value: object) -> str:
        payload = {"stages": ["text_model", "mmproj_model"], "current": current, "value": value}
        return "cmd_child_to_router:state:" + json.dumps({"state": "loading", "payload": payload})

    lines = [
        state("text_model", 0.5),
        "cmd_child_to_router:state:no json",
        "cmd_child_to_router:state:[]",
        state("text_model", 0.25),
        state("unheard_of", 0.5),
        state("text_model", "half"),
        state("mmproj_model", 0.5),
        state("mmproj_model", 1.0),
    ]
    worker = tmp_path / "worker.py"
    worker.write_text(f"import sys\nsys.stdin.readline()\nprint('\\n'.join({lines!r}))\n")
    monkeypatch.setattr(supervisor, "_WORKER_FILE", worker)

    async def test() -> None:
        progress: list[float] = []
        with pytest.raises(EngineError):
            await LlamaCppEngine().load(LoadRequest(POCKET), progress.append)
        assert progress == [0.0, 0.25, 0.75]

    run(test)


def test_unload_ends_the_process_and_can_be_repeated() -> None:
    async def test() -> None:
        reasons: list[str] = []
        async with loaded() as model:
            model.on_exit(reasons.append)
            assert not gone(model.pid)
            await model.unload()
            assert gone(model.pid)
            await model.unload()
            with pytest.raises(EngineCrashedError, match="unloaded during"):
                await model.tokenize("text")
        # Ended on purpose, so nobody is told.
        assert reasons == []

    run(test)


def test_unload_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def test() -> None:
        async with loaded():
            (folder,) = names(tmp_path)
            assert (tmp_path / folder).stat().st_mode & 0o077 == 0
            assert names(tmp_path / folder) == {"engine.sock"}
        assert names(tmp_path) == set()

    run(test)


def test_long_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path may have about a hundred bytes; a temporary folder more."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))

    async def test() -> None:
        async with loaded() as model:
            assert await model.tokenize("text")

    run(test)


@posix_only
def test_crash_is_told_to_requests_and_to_listeners() -> None:
    async def test() -> None:
        async with loaded() as model:
            told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            model.on_exit(told.set_result)
            answer = model.chat(ask(STORY, ENDLESS))
            while not isinstance(await answer.__anext__(), Text):
                pass
            os.kill(model.pid, signal.SIGSEGV)
            with pytest.raises(EngineCrashedError, match=r"pocket-q8_0\.gguf") as caught:
                await collect(answer)
            assert caught.value.cause is not None
            assert "SIGSEGV" in caught.value.cause
            assert "SIGSEGV" in await told
            with pytest.raises(EngineCrashedError):
                await collect(model.chat(ask(MEANING)))
            late: list[str] = []
            model.on_exit(late.append)
            assert len(late) == 1

    run(test)


@posix_only
def test_crash_at_the_end_of_a_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has said that it is ready, and is gone when it is asked for the first time."""
    start = Worker.start

    async def killed(*args: Any, **settings: Any) -> Worker:
        worker = await start(*args, **settings)
        os.kill(worker.pid, signal.SIGKILL)
        return worker

    async def test() -> None:
        monkeypatch.setattr(Worker, "start", killed)
        with pytest.raises(EngineCrashedError, match=r"pocket-q8_0\.gguf") as caught:
            async with loaded():
                pass
        assert "SIGKILL" in (caught.value.cause or "")

    run(test)


def test_closing_the_generator_stops_the_generation() -> None:
    async def test() -> None:
        # One place only: the second request can begin only when the first has really stopped.
        async with loaded(parallel=1) as model:
            answer = model.chat(ask(STORY, ENDLESS))
            async for event in answer:
                if isinstance(event, Text):
                    break
            await answer.aclose()
            assert text_of(await collect(model.chat(ask(MEANING)))) == MEANING_ANSWER

    run(test)


def test_cancelling_the_task_stops_the_generation() -> None:
    async def test() -> None:
        async with loaded(parallel=1) as model:
            began = asyncio.Event()

            async def endless() -> None:
                async for event in model.chat(ask(STORY, ENDLESS)):
                    if isinstance(event, Text):
                        began.set()

            task = asyncio.create_task(endless())
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert text_of(await collect(model.chat(ask(MEANING)))) == MEANING_ANSWER

    run(test)


def test_cancelling_a_load_ends_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pid_file = tmp_path / "pid"
    never_ready = tmp_path / "worker.py"
    never_ready.write_text(
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        'print(\'cmd_child_to_router:state:{"payload": {"stages": ["text_model"], \''
        ' \'"current": "text_model", "value": 0.5}}\', flush=True)\n'
        "sys.stdin.readline()\nsys.stdin.read()\n"
    )
    monkeypatch.setattr(supervisor, "_WORKER_FILE", never_ready)

    async def test() -> None:
        half = asyncio.Event()

        def on_progress(value: float) -> None:
            if value == 0.5:
                half.set()

        task = asyncio.create_task(LlamaCppEngine().load(LoadRequest(POCKET), on_progress))
        await half.wait()
        pid = int(pid_file.read_text())
        assert not gone(pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gone(pid)
        assert names(tmp_path) == {"pid", "worker.py"}

    run(test)


def damaged(kind: str) -> bytes:
    whole = POCKET.read_bytes()
    return {
        "empty": b"",
        "text": b"This is no model." * 100,
        "cut in the header": whole[:5000],
        "cut in the weights": whole[: len(whole) // 2],
        "absurd counts": whole[:8] + b"\xff" * 8 + whole[16:],
    }[kind]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "is empty"),
        ("text", "not a GGUF file"),
        ("cut in the header", "damaged"),
        ("cut in the weights", "cut off"),
        ("absurd counts", "claims to have"),
    ],
)
def test_damaged_file_is_named_with_the_reason(kind: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(damaged(kind))

    async def test() -> None:
        with pytest.raises(EngineError, match=r"Could not load broken\.gguf") as caught:
            await LlamaCppEngine().load(LoadRequest(path), lambda _: None)
        assert caught.value.cause is not None
        assert words in caught.value.cause
        assert caught.value.suggestion is not None
        assert "download it again" in caught.value.suggestion

    run(test)


def test_missing_file_is_named(tmp_path: Path) -> None:
    async def test() -> None:
        with pytest.raises(EngineError, match=r"nowhere\.gguf") as caught:
            await LlamaCppEngine().load(LoadRequest(tmp_path / "nowhere.gguf"), lambda _: None)
        assert str(tmp_path) in str(caught.value.cause)

    run(test)


def fake_worker(folder: Path, report: dict[str, str], code: int) -> Path:
    path = folder / "worker.py"
    line = "lmstudio-worker:" + json.dumps(report)
    path.write_text(
        f"import sys\nsys.stdin.readline()\nprint({line!r})\nsys.stderr.write('last words\\n')\n"
        f"raise SystemExit({code})\n"
    )
    return path


@pytest.mark.parametrize(
    ("message", "title", "suggestion"),
    [
        (
            "libgomp.so.1: cannot open shared object file: No such file or directory",
            "libgomp.so.1 is missing",
            "libgomp1",
        ),
        ("No module named 'xllamacpp'", "xllamacpp cannot be imported", "pip install"),
    ],
)
def test_engine_that_cannot_be_imported(
    message: str, title: str, suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = fake_worker(tmp_path, {"event": "import-failed", "message": message}, 1)
    monkeypatch.setattr(supervisor, "_WORKER_FILE", worker)

    async def test() -> None:
        with pytest.raises(EngineError, match=title) as caught:
            await LlamaCppEngine().load(LoadRequest(POCKET), lambda _: None)
        assert caught.value.suggestion is not None
        assert suggestion in caught.value.suggestion

    run(test)


def test_worker_that_ends_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_WORKER_FILE", fake_worker(tmp_path, {"event": "?"}, 7))

    async def test() -> None:
        with pytest.raises(EngineError, match=r"ended while it loaded pocket-q8_0\.gguf") as caught:
            await LlamaCppEngine().load(LoadRequest(POCKET), lambda _: None)
        assert caught.value.cause == "exit code 7; its last words: last words"

    run(test)


def start_worker(folder: Path) -> subprocess.Popen[bytes]:
    host = str(folder / "engine.sock")
    options = worker_options(LoadRequest(POCKET), threads=1, host=host, port=8080, api_key=None)
    process = subprocess.Popen(
        [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(options).encode() + b"\n")
    process.stdin.flush()
    assert process.stdout is not None
    for line in process.stdout:
        if b'"ready"' in line and line.startswith(b"lmstudio-worker:"):
            return process
    raise AssertionError("the worker was not ready")


@posix_only
def test_worker_ends_with_its_stdin_and_cleans_up(tmp_path: Path) -> None:
    """As when the server was killed and could end nothing itself."""
    folder = tmp_path / "private"
    folder.mkdir()
    process = start_worker(folder)
    try:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        assert not folder.exists()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@posix_only
def test_interrupt_at_the_terminal_does_not_end_a_worker(tmp_path: Path) -> None:
    process = start_worker(tmp_path)
    try:
        process.send_signal(signal.SIGINT)

        async def test() -> None:
            client = WorkerClient(Address(str(tmp_path / "engine.sock")))
            assert (await client.get("/health"))["status"] == "ok"

        run(test)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_worker_is_in_a_session_of_its_own() -> None:
    async def test() -> None:
        async with loaded() as model:
            assert os.getsid(model.pid) == model.pid

    run(test)


def test_port_instead_of_a_socket_needs_the_key() -> None:
    """What Windows uses."""

    async def test() -> None:
        worker = await Worker.start(LoadRequest(POCKET), lambda _: None, over_tcp=True)
        try:
            assert worker.address.socket_path is None
            assert worker.address.port > 0
            assert worker.address.api_key not in repr(worker.address)
            answer = await WorkerClient(worker.address).post("/tokenize", {"content": "text"})
            assert answer["tokens"]
            stranger = WorkerClient(Address(port=worker.address.port))
            with pytest.raises(StatusError) as caught:
                await stranger.post("/tokenize", {"content": "text"})
            assert caught.value.status == 401
        finally:
            await worker.stop()

    run(test)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_worker_is_small() -> None:
    """The whole server with this model has to stay below 300 MB."""

    async def test() -> None:
        async with loaded() as model:
            await collect(model.chat(ask(STORY)))
            assert resident_kilobytes(model.pid) < 100_000

    run(test)
