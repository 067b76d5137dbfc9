"""What is asked of ``xllamacpp``: with ``--latest`` this says whether the newest one fits."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pocket_models import POCKET, run
from test_engine_process import fake_worker

from lmstudio_server import health
from lmstudio_server.engines.base import EngineError, LoadRequest
from lmstudio_server.engines.llamacpp import LlamaCppEngine, contract, supervisor, worker
from lmstudio_server.engines.llamacpp.diagnosis import TRIED
from lmstudio_server.kv.values import CACHE_TYPES

ROOT = Path(__file__).parents[2]


def test_all_that_is_ever_set_can_be_set() -> None:
    pytest.importorskip("xllamacpp")
    contract.check()


class Seen:
    """Takes every attribute, and notes its name."""

    def __init__(self, path: str, names: set[str]) -> None:
        self.__dict__["_at"] = (path, names)

    def __getattr__(self, name: str) -> Seen:
        path, names = self._at
        return Seen(f"{path}.{name}", names)

    def __setattr__(self, name: str, value: object) -> None:
        path, names = self._at
        names.add(f"{path}.{name}".removeprefix("."))


def assigned(tree: ast.AST) -> Iterator[str]:
    """The attributes of parameters that the worker's source sets."""
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Attribute):
                words = ast.unparse(target)
                if words.startswith(("params.", "settings.")):
                    yield re.sub(r"^settings", "speculative.draft", words).removeprefix("params.")


def test_the_samples_leave_out_nothing_that_the_worker_sets() -> None:
    names: set[str] = set()
    library: Any = SimpleNamespace(
        CommonParams=lambda: Seen("", names),
        llama_load_mode=Seen("mode", set()),
        llama_flash_attn_type=Seen("attention", set()),
        ggml_type=Seen("type", set()),
        common_speculative_type=Seen("speculative", set()),
    )
    for options in contract.samples():
        worker.parameters(options, library)
    assert names == set(assigned(ast.parse(Path(worker.__file__).read_text(encoding="utf-8"))))
    assert contract.CACHE_TYPES == CACHE_TYPES


def test_load_progress_is_told() -> None:
    """llama.cpp's internal convention: a new version may drop it, and then progress is lost."""
    pytest.importorskip("xllamacpp")
    states: list[str] = []

    async def test() -> None:
        model = await LlamaCppEngine().load(LoadRequest(POCKET, use_mmap=False), told.append)
        await model.unload()

    told: list[float] = []
    seen = supervisor._overall_progress  # pyright: ignore[reportPrivateUsage]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            supervisor,
            "_overall_progress",
            lambda payload: (states.append(json.dumps(payload)), seen(payload))[1],
        )
        run(test)
    assert states, "llama.cpp tells no progress any more"


def test_one_that_does_not_fit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        supervisor, "_WORKER_FILE", fake_worker(tmp_path, {"event": "misfit", "message": "M"}, 1)
    )

    async def test() -> None:
        with pytest.raises(EngineError, match="does not fit") as caught:
            await LlamaCppEngine().load(LoadRequest(POCKET), lambda _: None)
        assert (caught.value.cause, TRIED in str(caught.value.suggestion)) == ("M", True)

    run(test)
    monkeypatch.setattr(health, "_IMPORT", "object().n_ctx")
    (engine,) = [finding for finding in health.findings() if finding.topic == "engine"]
    assert engine.state == "problem"
    assert TRIED in engine.advice


@pytest.mark.skipif(sys.platform == "win32", reason="a real worker is asked by its standard input")
def test_the_worker_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("class CommonParams:\n    __slots__ = ()\n")
    with subprocess.Popen(
        [sys.executable, worker.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Left open: the worker ends with its input.
        process.stdin.write(json.dumps(next(contract.samples())) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    said = json.loads(line.removeprefix(worker.REPORT_PREFIX))
    assert said["event"] == "misfit"
    assert "n_ctx" in said["message"]


def test_the_version_tried_is_the_one_of_the_constraints() -> None:
    """``scripts/pin.py`` moves the constraints; ``TRIED`` follows when this file's tests have passed."""
    pinned = [
        line.partition("==")[2].split()[0]
        for file in sorted((ROOT / "constraints").glob("python3.*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("xllamacpp==")
    ]
    assert pinned
    assert set(pinned) == {TRIED}
    project = (ROOT / "packages/lmstudio-server/pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'"xllamacpp>=[\d.]+"', project), "newer versions need no release of ours"
