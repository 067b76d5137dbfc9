"""The end of a server while it predicts, by signals, as a user at a terminal sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PATIENCE = 30.0
SERVER = """
import sys
from fake_engine import FakeEngine, FakeLibrary
from lmstudio_server.config import ServerConfig
from lmstudio_server.daemon.run import run

config = ServerConfig(port=0, shutdown_grace=float(sys.argv[1]))
sys.exit(run(config, kind="standalone", engine=FakeEngine(), library=FakeLibrary(),
             on_ready=lambda server: print(server.host, flush=True)))
"""


@contextmanager
def predicting(grace: float, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, Any]]:
    """A server, its address, and the beginning of a stream that does not end by itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(grace)],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "LMSTUDIO_STATE_DIR": str(folder),
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            ),
        },
    )
    assert process.stdout is not None
    try:
        host = process.stdout.readline().strip()
        body = {"model": "pocket", "prompt": "wait", "stream": True}
        request = urllib.request.Request(
            f"http://{host}/v1/completions", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as stream:
            while b"one" not in stream.readline():
                pass
            yield process, host, stream
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# Literal numbers: Windows has no SIGHUP.
@pytest.mark.parametrize("number", [15, 1], ids=["SIGTERM", "SIGHUP"])
def test_predictions_end_after_the_grace_and_say_so(
    number: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # A server heeds nohup, which these tests may run under; it inherits what is set here.
    before = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, before))
    with predicting(0.05, tmp_path) as (process, _, stream):
        process.send_signal(number)
        lines = [line for line in stream.read().decode().splitlines() if line]
        assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "model_unloaded"
        assert process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with predicting(1000, tmp_path) as (process, host, _):
        process.send_signal(signal.SIGINT)
        # It answers still, and takes no new work.
        while status_of(f"http://{host}/v1/models") != 503:
            pass
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
