"""Where Python can be started, and where not."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from lmstudio_core import FrozenProgramError, LMStudioConnectionError
from lmstudio_core.client import discovery
from lmstudio_core.errors import CapabilityNotInstalledError
from lmstudio_core.plugins.capabilities import Capabilities
from lmstudio_core.program import interpreter
from lmstudio_core.program.interpreter import (
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
    command = python_command("file.py", "x", purpose="A test")
    assert command == [sys.executable, "file.py", "x"]


@pytest.mark.parametrize("path", [None, os.pathsep])
@pytest.mark.parametrize("how", ["-m", "-c"])
def test_the_current_folder_is_not_on_a_helper_s_path(how, path, tmp_path, monkeypatch):
    """Whatever lies there, under the name of any module a helper imports."""
    (tmp_path / "elsewhere").mkdir()
    for name in ("json", "runpy", "os", "argparse", "xllamacpp", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file in the folder was run')")
    (tmp_path / "a-1.0.dist-info").mkdir()
    code = "import sys, json, argparse, os; print(json.dumps([sys.argv, sys.path, __name__]))"
    (tmp_path / "elsewhere" / "printing_module.py").write_text(code)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    if path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:  # what `PYTHONPATH=$PYTHONPATH:` comes to
        monkeypatch.setenv("PYTHONPATH", path)
    environment = python_environment()
    what = code if how == "-c" else "printing_module"
    if how == "-m":
        places = [environment.get("PYTHONPATH"), str(tmp_path / "elsewhere")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    command = python_command(how, what, "an argument", "-x", purpose="A test")
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    argv, found, name = json.loads(done.stdout)
    assert argv[1:] == ["an argument", "-x"]
    assert name == "__main__"
    assert not {"", ".", str(tmp_path)} & set(found)


def test_helpers_are_told_no_secrets(monkeypatch):
    secret = [
        *(
            "HF_TOKEN",
            "LMSTUDIO_API_TOKEN",
            "LM_API_TOKEN",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
        ),
        *("GH_PAT", "DATABASE_URL", "HTTPS_PROXY", "https_proxy", "PGPASSWORD", "SENTRY_DSN"),
        *(
            "LLAMA_API_KEY",
            "LLAMA_ARG_HF_TOKEN",
            "CUDA_AUTH",
            "PYTHON_KEYRING_PASSWORD",
            "MY_THING",
        ),
    ]
    needed = [
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
        "OMP_NUM_THREADS",
        "GGML_VK_VISIBLE_DEVICES",
    ]
    needed += ["HSA_OVERRIDE_GFX_VERSION", "TMPDIR", "LC_ALL", "PYTHONUTF8", "PATH", "HOME"]
    for name in (*secret, *needed):
        monkeypatch.setenv(name, "value")
    environment = python_environment()
    assert not set(secret) & set(environment)
    assert set(needed) <= set(environment)
    assert set(secret) <= set(python_environment(secrets=True))


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
    assert python_environment(secrets=True) == dict(os.environ)


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
