"""Programs that come without the metadata of their distributions, or with their packages packed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pydantic
import pytest

from lmstudio_core.plugins.family import ANNOUNCED, FAMILY, announced_by

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).parents[2]
SOURCES = {
    name.replace("-", "_"): (ROOT / "packages" / name if name != "lmstudio" else ROOT) / "src"
    for name in FAMILY
}
PROGRAM = """
import json, subprocess, sys
import lmstudio as lms
from lmstudio_core.plugins.registry import plugins

client = lms.Client(sys.argv[1])
said = {}
said["capabilities"] = plugins.capability_names()
said["llm"] = type(client.llm).__name__
said["embedding"] = type(client.embedding).__name__
said["agent"] = type(client.agent).__name__
said["states"] = [[s.name, s.distribution, s.version, s.state] for s in plugins.states()]
said["home"] = lms.__file__

from lmstudio_core.program.interpreter import python_command, python_environment

helper = python_command("-c", "import lmstudio; print(lmstudio.__file__)", purpose="a helper")
env = python_environment()
said["helper"] = subprocess.run(helper, env=env, capture_output=True, text=True).stdout.strip()
client.close()
print(json.dumps(said))
"""


def test_the_table_is_what_the_packages_announce():
    for name in FAMILY:
        project = ROOT if name == "lmstudio" else ROOT / "packages" / name
        declared = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
        groups = declared.get("entry-points", {})
        ours = {group: named for group, named in groups.items() if group.startswith("lmstudio.")}
        assert ANNOUNCED.get(name, {}) == ours


def test_what_was_left_out_is_not_announced(monkeypatch):
    real = sys.modules.get("lmstudio_llm.capability")
    monkeypatch.setitem(
        ANNOUNCED,  # type: ignore[arg-type]
        "lmstudio-llm",
        {
            "lmstudio.capabilities": {"llm": "lmstudio_llm.capability:CAPABILITY"},
            "lmstudio.plugins": {"llm": "lmstudio_llm.left_out"},
            "lmstudio.engines": {"e": "lmstudio_left_out.module:E"},
        },
    )
    expected = "[lmstudio.capabilities]\nllm = lmstudio_llm.capability:CAPABILITY"
    assert announced_by("lmstudio-llm") == expected
    assert sys.modules.get("lmstudio_llm.capability") is real  # looked for, and not imported


@pytest.fixture
def copied(tmp_path):
    """A folder with the packages of the family as they lie in the sources: no metadata anywhere."""
    folder = tmp_path / "copied"
    for name, source in SOURCES.items():
        if name != "lmstudio_server":
            shutil.copytree(
                source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    return folder


@pytest.fixture
def others(tmp_path):
    """A folder that leads to what the family depends on, and to nothing of the family's."""
    folder = tmp_path / "others"
    folder.mkdir()
    for path in Path(pydantic.__file__).parents[1].iterdir():
        if "lmstudio" not in path.name:
            (folder / path.name).symlink_to(path)
    return folder


def run(*command, others):
    done = subprocess.run(
        # Without site-packages, where the family is installed with its metadata.
        [sys.executable, "-S", "-W", "error", *map(str, command), "127.0.0.1:9"],
        env={"PYTHONPATH": str(others), "LMSTUDIO_EMBEDDED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def check(said, home):
    assert said["home"].startswith(str(home))
    assert said["helper"] == said["home"]
    own = {
        n
        for name, g in ANNOUNCED.items()
        if name != "lmstudio-server"
        for n in g.get("lmstudio.capabilities", {})
    }
    assert set(said["capabilities"]) == own
    assert (said["llm"], said["agent"]) == ("LLMNamespace", "AgentNamespace")
    assert {state for *_, state in said["states"]} == {"ok"}
    assert {d for _, d, _, _ in said["states"]} == set(ANNOUNCED) - {"lmstudio-server"}
    assert len({version for _, _, version, _ in said["states"]}) == 1


def test_copied_packages_know_their_own_capabilities(copied, others):
    (copied / "program.py").write_text(PROGRAM, "utf-8")
    check(run(copied / "program.py", others=others), copied)


def test_a_zipapp_works(copied, others, tmp_path):
    (copied / "__main__.py").write_text(PROGRAM, "utf-8")
    archive = tmp_path / "program.pyz"
    zipapp.create_archive(copied, archive)
    check(run(archive, others=others), archive)
