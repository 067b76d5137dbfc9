"""What ``lmstudio doctor`` is told of the bundled server, its engine and its folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmstudio_server import health


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("LMSTUDIO_EMBEDDED", raising=False)


def found() -> dict[str, Any]:
    return {finding.topic: finding for finding in health.findings()}


def test_all_is_well(tmp_path: Path) -> None:
    assert {topic: finding.state for topic, finding in found().items()} == {
        "bundled": "ok",
        "engine": "ok",
        "models": "ok",
    }
    assert not (tmp_path / "data").exists(), "looking makes nothing"


def test_an_engine_without_libgomp(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "raise ImportError('libgomp.so.1: cannot open shared object file')"
    monkeypatch.setattr(health, "_IMPORT", code)
    engine = found()["engine"]
    assert engine.state == "problem"
    assert "libgomp.so.1 is missing" in engine.text
    assert "apt-get install libgomp1" in engine.advice


def test_an_engine_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_IMPORT", "import no_such_engine")
    engine = found()["engine"]
    assert "No module named 'no_such_engine'" in engine.text
    assert "pip install" in engine.advice


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    models = found()["models"]
    assert models.state == "problem"
    assert "is not a folder" in models.text


def test_a_server_that_is_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_EMBEDDED", "0")
    bundled = found()["bundled"]
    assert (bundled.state, bundled.advice) == ("warning", "Unset LMSTUDIO_EMBEDDED.")
