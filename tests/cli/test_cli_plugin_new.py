"""``lmstudio plugin new``; what it makes is tried out in tests/packaging, installed from wheels."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lmstudio_cli.command import build
from lmstudio_cli.plugin_new import files_of
from lmstudio_core.errors import LMStudioOSError

EXAMPLE = Path(__file__).parents[2] / "examples/lmstudio-sample"


def new(*arguments):
    return CliRunner().invoke(build(), ["plugin", "new", *arguments])


def contents(folder):
    """Its files, without what tools leave behind."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_text("utf-8")
        for name, path in files.items()
        if not any(part.startswith((".", "__pycache__")) for part in name.parts)
    }


def test_the_example_is_what_it_makes(tmp_path):
    """When a template changes: rm -r examples/*; lmstudio plugin new sample --directory examples"""
    done = new("sample", "--directory", str(tmp_path / "deep"))
    assert done.exit_code == 0, done.output
    made = contents(tmp_path / "deep/lmstudio-sample")
    assert made == contents(EXAMPLE)
    assert {path for path in made if path in done.output} == set(made)


@pytest.mark.parametrize("name", ["ab", "my-tool", "lmstudio-weather", "a-name-of-20-letters"])
def test_names_that_can_be(name, tmp_path):
    made = files_of(name)
    assert not [text for text in made.values() if "{{" in text]
    for path, text in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        if path.suffix == ".py":
            ast.parse(text)
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        if "No module named ruff" in done.stderr:
            pytest.skip("ruff is not installed here")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["str", "test", "json"])
def test_a_name_that_python_or_a_tool_knows_does_no_harm(name, tmp_path):
    """Its tests pass, but for those that need it installed."""
    assert new(name, "--directory", str(tmp_path)).exit_code == 0
    folder = tmp_path / f"lmstudio-{name}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "not installed and not observer"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder / "src"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_a_hyphen_becomes_what_python_can_say():
    made = {path.as_posix(): text for path, text in files_of("my-tool").items()}
    assert 'name = "lmstudio-my-tool"' in made["pyproject.toml"]
    assert 'my_tool = "lmstudio_my_tool.capability:MY_TOOL"' in made["pyproject.toml"]
    assert "class MyToolNamespace" in made["src/lmstudio_my_tool/namespaces.py"]
    assert '@click.command("my-tool")' in made["src/lmstudio_my_tool/commands.py"]


@pytest.mark.parametrize(
    "name",
    [
        *("", "Weather", "1a", "a_b", "-a", "a-", "a--b", "../a", "a/b", "a b", "käse", "a" * 21),
        *("class", "run", "llm", "core", "server", "plugins", "ls", "lmstudio-embed", "chat"),
        *("sync", "kinds", "type-checking"),
    ],
)
def test_names_that_cannot_be(name, tmp_path):
    done = new(name, "--directory", str(tmp_path)) if name[:1] != "-" else new("--", name)
    assert done.exit_code == 2
    assert "NAME" in done.output
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "lmstudio-toys").mkdir()
    done = new("toys", "--directory", str(tmp_path))
    assert isinstance(done.exception, LMStudioOSError)
    assert "is there already" in str(done.exception)
    assert list((tmp_path / "lmstudio-toys").iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    done = new("toys", "--directory", str(tmp_path / "file/below"))
    assert isinstance(done.exception, LMStudioOSError)
    assert "cannot be made" in str(done.exception)
