"""Where Python can be started, and where not."""

from __future__ import annotations

import ast
import os
import sys
import types
from pathlib import Path

import pytest

from lmstudio_core import FrozenProgramError, LMStudioConnectionError, discovery, interpreter
from lmstudio_core.capabilities import Capabilities
from lmstudio_core.errors import CapabilityNotInstalledError
from lmstudio_core.interpreter import (
    frozen_by,
    python_command,
    python_environment,
    why_no_python,
)

ROOT = Path(__file__).parents[2]


def pyinstaller(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", "/anywhere", raising=False)


def cx_freeze(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)


def py2exe(monkeypatch):
    monkeypatch.setattr(sys, "frozen", "console_exe", raising=False)


def nuitka(monkeypatch):
    compiled = types.SimpleNamespace(standalone=True)
    monkeypatch.setattr(interpreter, "__compiled__", compiled, raising=False)


def nuitka_main(monkeypatch):
    main = types.ModuleType("__main__")
    main.__compiled__ = types.SimpleNamespace(standalone=True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", main)


def embedded(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")


def embedded_none(monkeypatch):
    monkeypatch.setattr(sys, "executable", None)


ALL = [
    (pyinstaller, "PyInstaller"),
    (cx_freeze, "a freezing tool"),
    (py2exe, "a freezing tool"),
    (nuitka, "Nuitka"),
    (nuitka_main, "Nuitka"),
    (embedded, None),
    (embedded_none, None),
]


def test_here_python_can_be_started():
    assert frozen_by() is None
    assert why_no_python() is None
    command = python_command("-m", "x", purpose="A test")
    assert command == [sys.executable, "-m", "x"]


@pytest.mark.parametrize(("kind", "tool"), ALL, ids=lambda value: getattr(value, "__name__", ""))
def test_it_is_refused(kind, tool, monkeypatch):
    kind(monkeypatch)
    assert frozen_by() == tool
    with pytest.raises(FrozenProgramError, match="The helper cannot be started: ") as caught:
        python_command("-m", "x", purpose="The helper")
    assert caught.value.purpose == "The helper"
    assert "lmstudio-server start" in str(caught.value)
    assert "LMSTUDIO_API_HOST" in str(caught.value)


def test_a_compiled_module_of_an_ordinary_program_is_no_frozen_program(monkeypatch):
    compiled = types.SimpleNamespace(standalone=False)
    monkeypatch.setattr(interpreter, "__compiled__", compiled, raising=False)
    assert frozen_by() is None


def test_no_main_module(monkeypatch):
    monkeypatch.delitem(sys.modules, "__main__")
    assert frozen_by() is None


def run_alone(search):
    next(search)
    while True:  # nothing is found anywhere
        search.send(None)


@pytest.mark.parametrize("kind", [pyinstaller, embedded])
def test_the_search_for_a_server_says_so(kind, monkeypatch, tmp_path):
    kind(monkeypatch)
    search = discovery.find_server({}, tmp_path, lambda _: None)
    with pytest.raises(
        LMStudioConnectionError, match="lmstudio-server start` on this machine"
    ) as e:
        run_alone(search)
    assert "pip install" not in str(e.value)
    assert e.value.tried


def test_a_missing_capability_says_what_to_include(monkeypatch):
    pyinstaller(monkeypatch)
    with pytest.raises(CapabilityNotInstalledError, match="have it include lmstudio_llm") as e:
        Capabilities([]).capability("llm")
    assert "pip install" not in str(e.value)


def test_helpers_find_what_only_this_program_has_on_its_path(monkeypatch, tmp_path):
    archive, packages, own = tmp_path / "a.pyz", tmp_path / "packages", tmp_path / "own"
    archive.write_bytes(b"PK")
    (packages / "some-1.0.dist-info").mkdir(parents=True)
    own.mkdir()
    (own / "json.py").touch()  # a user's module, which must not shadow the helper's
    places = [str(own), str(archive), str(packages), str(tmp_path / "gone")]
    monkeypatch.setattr(sys, "path", [*places, *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["relative", "", str(packages)]))
    monkeypatch.chdir(tmp_path)
    found = python_environment()["PYTHONPATH"].split(os.pathsep)
    assert found[:3] == [str(tmp_path / "relative"), str(packages), str(archive)]
    assert str(own) not in found
    assert not any(
        "site-packages" in place or place == str(Path(os.__file__).parent) for place in found
    )


def test_the_environment_stays_as_it_is_where_nothing_is_special(monkeypatch):
    ordinary = [p for p in sys.path if "site-packages" in p or p.endswith("lib-dynload")]
    monkeypatch.setattr(sys, "path", ordinary)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert python_environment() == dict(os.environ)


def test_nothing_else_starts_python():
    """``sys.executable`` is read by the one door, and by what only shows it."""
    shown = {"cli/checks.py", "fetch/wheel.py"}
    for path in [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("src/**/*.py")]:
        uses = [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Attribute)
            and ast.unparse(node) in ("sys.executable", "sys._base_executable")
        ]
        if uses and path.name != "interpreter.py":
            assert path.as_posix().endswith(tuple(shown)), path
            assert len(uses) == 1, path
