"""``lmstudio dev``: reload, mistakes, a server that goes and comes, Ctrl-C; and new plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plugin_running import Running

from lmstudio_core.client import Client
from lmstudio_core.errors import LMStudioError
from lmstudio_plugin import LMStudioPluginInitError
from lmstudio_plugin.developing import mistakes, seen
from lmstudio_plugin.manifest import find_project, read_project
from lmstudio_plugin.program import load_definition
from lmstudio_plugin.scaffold import files_of
from lmstudio_server.testing import running_server
from ports import free_port
from waiting import eventually

DEEP = pytest.mark.skipif(not os.environ.get("LMSTUDIO_TEST_DEEP"), reason="takes long")
MANIFEST = {"type": "plugin", "runner": "python", "owner": "acme", "name": "reloaded"}
SOURCE = """
from lmstudio.plugin import Plugin, PluginConfig, BaseConfigSchema, config_field

class Settings(PluginConfig):
    word: str = "one"

class Shared(BaseConfigSchema):
    seed: int = config_field(label="Seed", hint="", default=1)

plugin = Plugin(config=Settings, global_config=Shared)

@plugin.tool
def say() -> str:
    "Say it."
    from lmstudio_plugin.hooks.tool_contexts import CURRENT
    return f"VERSION {CURRENT.get().config.word} {CURRENT.get().global_config.seed}"
"""


def write(folder: Path, version: str) -> None:
    (folder / "src" / "plugin.py").write_text(SOURCE.replace("VERSION", version), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST), "utf-8")
    write(tmp_path, "first")
    return tmp_path


def said(host: str) -> str:
    """What the tool says; nothing while the plugin is not there."""
    try:
        with (
            Client(host) as client,
            client.plugins.start_tool_use_session("acme/reloaded") as session,
        ):
            return str(session.call_tool("say"))
    except LMStudioError:
        return ""


def test_a_change_starts_it_anew(run: Callable[..., Running], host: str, folder: Path) -> None:
    running = run(
        "-m", "lmstudio", "dev", str(folder / "src"), "--config", "word=two", "--global", "seed=7"
    )
    running.wait_for("is running")
    assert said(host) == "first two 7"
    write(folder, "second")
    running.wait_for("is running", 2)
    assert said(host) == "second two 7"
    (folder / "src" / "plugin.py").write_text("def (", "utf-8")
    running.wait_for("plugin.py:1:")
    assert said(host) == "second two 7"  # the old one goes on
    (folder / "src" / "plugin.py").write_text("raise RuntimeError('boom')", "utf-8")
    running.wait_for("boom")
    running.wait_for("Waiting for a change")
    write(folder, "third")
    running.wait_for("is running", 3)
    assert said(host) == "third two 7"
    assert running.end() == 0
    eventually(lambda: said(host) == "")


@DEEP
def test_a_server_that_is_back_is_used_again(run: Callable[..., Running], folder: Path) -> None:
    port = free_port()
    with running_server("--port", str(port)) as server:
        running = run("-m", "lmstudio", "dev", str(folder), "--no-reload", host=server.host)
        running.wait_for("is running")
    running.wait_for("trying again")
    with running_server("--port", str(port)) as server:
        running.wait_for("is running", 2)
        assert said(server.host) == "first one 1"
        assert running.end() == 0


def test_without_a_server_or_a_plugin(run: Callable[..., Running], folder: Path) -> None:
    nobody = run("-m", "lmstudio", "dev", str(folder), host="127.0.0.1:9")
    assert nobody.wait() == 3  # as of any command without a server
    (folder / "manifest.json").write_text("{", "utf-8")
    broken = run("-m", "lmstudio", "dev", str(folder))
    assert broken.wait() == 1
    for running, words in ((nobody, "127.0.0.1:9"), (broken, "no valid JSON")):
        assert words in running.text
        assert "Traceback" not in running.text


@pytest.mark.parametrize(
    ("option", "words"),
    [
        pytest.param(("--config", "wort=x"), "Did you mean 'word'", marks=DEEP),
        pytest.param(("--config", "word=3"), "must be a string", marks=DEEP),
        pytest.param(("--global", "seed=x"), "must be an integer", marks=DEEP),
    ],
)
def test_options_name_settings(
    run: Callable[..., Running], folder: Path, option: tuple[str, str], words: str
) -> None:
    running = run("-m", "lmstudio", "dev", str(folder), "--no-reload", *option)
    assert running.wait() == 1
    assert words in running.text


def test_what_counts_as_a_change(folder: Path) -> None:
    before = seen(folder)
    for name in (".git/index", "__pycache__/x.pyc", "node_modules/a.js", "src/.plugin.py.swp"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x", "utf-8")
    assert seen(folder) == before
    (folder / "src" / "more.py").write_text("x", "utf-8")
    assert seen(folder) != before
    assert mistakes(folder) is None
    (folder / "src" / "more.py").write_text("x = (", "utf-8")
    assert "more.py:1: " in (mistakes(folder) or "")


@pytest.mark.parametrize(
    ("changes", "words", "key"),
    [
        ({"runner": "node"}, "'runner' must be 'python', got 'node'", "runner"),
        ({"type": "model"}, "'type' must be 'plugin', got 'model'", "type"),
        ({"owner": "Acme Inc"}, "'acme-inc' would do", "owner"),
        ({"name": "a--b"}, "'a-b' would do", "name"),
        ({"name": 3}, "got 3", "name"),
        ({"name": None, "nmae": "x"}, "it has 'nmae'", "name"),
        ({"owner": None}, "The key 'owner' is missing", "owner"),
    ],
)
def test_manifests_that_are_wrong(folder: Path, changes: Any, words: str, key: str) -> None:
    manifest = {k: v for k, v in {**MANIFEST, **changes}.items() if v is not None}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(LMStudioPluginInitError, match=words) as caught:
        read_project(folder)
    assert caught.value.key == key
    assert caught.value.file == folder / "manifest.json"


def test_manifests_that_are_none(folder: Path) -> None:
    for text, words in (("{", "no valid JSON"), ("[]", "must be a JSON object")):
        (folder / "manifest.json").write_text(text, "utf-8")
        with pytest.raises(LMStudioPluginInitError, match=words):
            read_project(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(LMStudioPluginInitError, match="no such file"):
        read_project(folder)
    with pytest.raises(LMStudioPluginInitError, match=r"No manifest\.json"):
        find_project(folder)


TWICE = """
from lmstudio.plugin import Plugin
plugin = Plugin()
@plugin.tools
def more(ctl): ...
def list_provided_tools(ctl): ...
"""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "No hook is defined"),
        (
            "def preproces_prompt(ctl, message): ...",
            "'preproces_prompt' is almost 'preprocess_prompt'",
        ),
        ("preprocess_prompt = 3", "preprocess_prompt must be a function, got 3"),
        ("ConfigSchema = 3\ndef preprocess_prompt(ctl, m): ...", "ConfigSchema must be a class"),
        (
            "def list_provided_tools(c): ...\ndef run_prediction_loop(c): ...",
            "either a prediction loop",
        ),
        (
            "from lmstudio.plugin import Plugin\na = Plugin()\nb = Plugin()",
            "several Plugin objects",
        ),
        (
            TWICE,
            "both set that hook",
        ),
    ],
)
def test_programs_that_are_wrong(folder: Path, source: str, words: str) -> None:
    (folder / "src" / "plugin.py").write_text(source, "utf-8")
    with pytest.raises(LMStudioPluginInitError, match=words):
        load_definition(read_project(folder), allow_local_imports=False)


def test_a_program_that_is_missing(folder: Path) -> None:
    (folder / "src" / "plugin.py").unlink()
    with pytest.raises(LMStudioPluginInitError, match="no such file") as caught:
        load_definition(read_project(folder), allow_local_imports=False)
    assert caught.value.file == folder / "src" / "plugin.py"


def test_a_new_plugin_works(tmp_path: Path, lmstudio_plugin: Callable[..., Any]) -> None:
    for path, text in files_of("my-dice", "ada").items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    assert read_project(tmp_path).identifier == "ada/my-dice"
    assert lmstudio_plugin(tmp_path, config={"sides": 2}).call("roll", {"count": 3}).statuses
    for name, owner in (("My Dice", "ada"), ("dice", "Ada")):
        with pytest.raises(LMStudioPluginInitError, match="would do"):
            files_of(name, owner)


@DEEP
def test_a_new_plugin_passes_its_tests(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lmstudio", "plugin", "new"]
    made = subprocess.run(
        [*command, "my-dice", "--lmstudio", "--owner", "ada", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "my-dice"
    assert read_project(folder).identifier == "ada/my-dice"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    again = subprocess.run(
        [*command, "My Dice", "--lmstudio", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode != 0
    assert "my-dice" in again.stderr
