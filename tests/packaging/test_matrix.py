"""What is installed works, what is not says what to install, and nothing extra is imported.

Each environment is fresh and holds nothing but wheels: those of the part, of the command and of the
scripted server, which answers what is asked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Environment, MakeEnvironment

ROOT = Path(__file__).parents[2]

PROLOGUE = """
import asyncio, sys
import lmstudio_core as lms
from lmstudio_testing import FakeServer

def missing(client, *names):
    for name in names:
        try:
            getattr(client, name).anything
        except lms.CapabilityNotInstalledError as error:
            assert f"pip install {error.package}" in str(error)
        else:
            raise AssertionError(f"{name} is there")

def family():
    found = {n.partition(".")[0] for n in sys.modules if n.startswith("lmstudio")}
    return sorted(found - {"lmstudio_testing"})

with FakeServer() as server, lms.Client(server.api_host) as client:
    server.on("system.version", {"version": "1.2.3"})
    assert client.system.version().version == "1.2.3"
"""
CORE = """
    missing(client, "llm", "embedding", "agent", "plugins", "batch")
    assert family() == ["lmstudio_core"], family()
"""
EMBED = """
    server.embedding().vector("north", [0.0, 1.0])
    assert client.embedding.model("nomic").embed("north") == [0.0, 1.0]
    missing(client, "llm", "agent", "plugins")
    assert family() == ["lmstudio_core", "lmstudio_embed"], family()
    assert "numpy" not in sys.modules
"""
LLM = """
    server.llm().respond("Paris.", times=2)
    assert client.llm.model("qwen").respond("Where?").content == "Paris."
    async def main():
        async with lms.AsyncClient(server.api_host) as client:
            return (await (await client.llm.model("qwen")).respond("Where?")).content
    assert asyncio.run(main()) == "Paris."
    missing(client, "embedding", "agent", "plugins")
    try:
        client.llm.model("qwen").act("6 times 7?", [])
    except lms.CapabilityNotInstalledError as error:
        assert "pip install lmstudio-agent" in str(error)
    else:
        raise AssertionError("agent is there")
    assert family() == ["lmstudio_core", "lmstudio_llm"], family()
"""
AGENT = """
    server.llm().call_tool("multiply", {"a": 6, "b": 7}).respond("It is 42.")
    def multiply(a: int, b: int) -> int:
        "Multiply two numbers."
        return a * b
    assert client.llm.model("qwen").act("6 times 7?", [multiply]).final == "It is 42."
    missing(client, "embedding", "plugins")
    assert family() == ["lmstudio_agent", "lmstudio_core", "lmstudio_llm"], family()
    assert "mcp" not in sys.modules
"""
PLUGIN = """
    server.on("plugins.reindexPlugins", None)
    client.plugins.reindex_plugins()
    missing(client, "embedding")
    assert family() == ["lmstudio_core", "lmstudio_plugin"], family()  # the rest when plugins are run
"""
BATCH = """
    server.llm().respond("Paris.", times=2)
    with lms.Pool([server.api_host]) as pool:
        assert pool.respond("Where?").content == "Paris."
    (row,) = client.batch.stream(["Where?"], lms.BatchSpec())
    assert row.result.content == "Paris."
    missing(client, "agent")
    assert family() == ["lmstudio_batch", "lmstudio_core", "lmstudio_embed", "lmstudio_llm"], family()
    assert not {"ray", "dask", "pandas", "pyarrow", "numpy"} & set(sys.modules)
"""
SERVER = """
    missing(client, "llm", "embedding", "agent", "plugins")
    # Its plugin alone is loaded, with every client; what it needs is not.
    assert family() == ["lmstudio_core", "lmstudio_server"], family()
    ours = [name for name in sys.modules if name.startswith("lmstudio_server.")]
    assert set(ours) <= {"lmstudio_server._version", "lmstudio_server.plugin"}, ours
"""
EVERYTHING = """
    import lmstudio
    server.llm().respond("Paris.")
    server.embedding().vector("north", [0.0, 1.0])
    lmstudio.configure_default_client(server.api_host)
    assert lmstudio.llm("qwen").respond("Where?").content == "Paris."
    assert lmstudio.embedding_model("nomic").embed("north") == [0.0, 1.0]
"""

PARTS = {
    "lmstudio-core": CORE,
    "lmstudio-embed": EMBED,
    "lmstudio-llm": LLM,
    "lmstudio-agent": AGENT,
    "lmstudio-plugin": PLUGIN,
    "lmstudio-batch": BATCH,
    "lmstudio-server": SERVER,
    "lmstudio": EVERYTHING,
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_works_alone(installed: MakeEnvironment, name: str) -> None:
    environment = installed(name, "lmstudio-cli", "lmstudio-testing")
    environment.python(PROLOGUE + PARTS[name])
    # Nothing is wrong with a part of the family because the rest of it is not there.
    states = plugins(environment)
    assert all_work(states)
    if name != "lmstudio":
        brought = {"lmstudio-core", "lmstudio-llm", name}
        brought |= {
            "lmstudio-plugin": {"lmstudio-agent"},
            "lmstudio-batch": {"lmstudio-embed"},
        }.get(name, set())
        assert {s["distribution"] for s in states} <= brought
    topics = doctor(environment)
    assert topics["packages"] == topics["plugins"] == ["ok"]
    assert "problem" not in topics.get("plugin", [])
    assert topics.get("engine") == (["ok"] if name == "lmstudio-server" else None)


def plugins(environment: Environment, *, ok: bool = True) -> list[dict[str, str]]:
    strict: dict[str, Any] = {"LMSTUDIO_STRICT_PLUGINS": "1"} if ok else {}
    states: list[dict[str, str]] = json.loads(
        environment.lmstudio("plugins", "--json", ok=ok, **strict)
    )
    return states


def all_work(states: list[dict[str, str]]) -> bool:
    """Whether all do; on a busy machine one may be slow."""
    return {state["state"] for state in states} <= {"ok", "slow"}


def doctor(environment: Environment) -> dict[str, list[str]]:
    """Topic → states. Nobody is at this host, which is a problem."""
    report = json.loads(environment.lmstudio("doctor", "--host", "127.0.0.1:9", "--json", ok=False))
    topics: dict[str, list[str]] = {}
    for finding in report["findings"]:
        topics.setdefault(finding["topic"], []).append(finding["state"])
    assert topics.pop("server") == ["problem"]
    return topics


def test_an_upgrade_over_the_official_sdk_works(fresh: MakeEnvironment) -> None:
    environment = fresh("lmstudio==1.5.0")
    environment.install("--upgrade", "lmstudio[testing]")
    environment.python(PROLOGUE + EVERYTHING)
    assert all_work(plugins(environment))


# -- plugins of others -----------------------------------------------------------------------------


def build(project: Path, target: Path) -> Path:
    """A wheel of a project that is not of the family."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(target)]
    done = subprocess.run([*command, str(project)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = target.glob("*.whl")
    return wheel


def check_sources(environment: Environment, project: Path) -> None:
    """The project's own ruff and mypy settings find nothing wrong with it."""
    module = [sys.executable, "-m"]
    python = str(environment.bin / "python")
    for command in (
        [*module, "ruff", "check", "--no-cache", "."],
        [*module, "ruff", "format", "--no-cache", "--check", "."],
        [*module, "mypy", "--python-executable", python, "--cache-dir", str(project / ".cache")],
    ):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


def test_what_plugin_new_makes_passes_at_once(fresh: MakeEnvironment, tmp_path: Path) -> None:
    environment = fresh("lmstudio-cli", "lmstudio-testing", "pytest")
    environment.lmstudio("plugin", "new", "my-weather", "--directory", str(tmp_path))
    project = tmp_path / "lmstudio-my-weather"
    environment.install(str(build(project, tmp_path / "dist")))
    tests = environment.command("pytest", "-q", "-p", "no:cacheprovider", str(project))
    assert "7 passed" in tests
    check_sources(environment, project)
    assert "my-weather" in environment.lmstudio("--help")
    found = [s for s in plugins(environment) if s["distribution"] == "lmstudio-my-weather"]
    assert all_work(found)
    assert [(s["name"], s["kind"]) for s in found] == [
        ("my_weather", "capability"),
        ("my-weather", "command"),
        ("my_weather", "hooks"),
    ]


SAMPLE = (
    PROLOGUE
    + """
    import logging
    logging.basicConfig(level=logging.DEBUG)
    server.on("system.listDownloadedModels", [{"type": "llm", "sizeBytes": 7}])
    assert "lmstudio_sample.namespaces" not in sys.modules
    assert client.sample.overview().size_bytes == 7
    assert lms.SampleOverview.__name__ == "SampleOverview"
    import lmstudio
    assert lmstudio.toolset_names() == ["sample"]
    size = {"size_bytes": 1500}
    server.llm().call_tool("readable_size", size).respond("It is 1.5 kB.")
    model = client.llm.model("qwen")
    assert model.act("How much?", [], toolsets=["sample"]).final == "It is 1.5 kB."
"""
)
BROKEN = """
[lmstudio.capabilities]
llm = broken_everywhere:CAPABILITY
broken = broken_everywhere:CAPABILITY
[lmstudio.plugins]
broken = broken_everywhere
"""


def test_everything_and_the_sample(fresh: MakeEnvironment, tmp_path: Path) -> None:
    environment = fresh("lmstudio[server,testing]", "pytest")
    environment.install(str(build(ROOT / "examples/lmstudio-sample", tmp_path / "dist")))
    tests = environment.command(
        "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "examples/lmstudio-sample/tests")
    )
    assert "7 passed" in tests
    logged = environment.command(str(environment.bin / "python"), "-c", SAMPLE)
    assert "system.listDownloadedModels took" in logged
    assert all_work(plugins(environment))
    # The command, against the bundled server.
    ours: dict[str, Any] = {
        "LMSTUDIO_STATE_DIR": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "LMSTUDIO_STRICT_PLUGINS": "1",
    }
    try:
        environment.lmstudio("server", "start", "--daemon", "--port", "0", **ours)
        status = json.loads(environment.lmstudio("server", "status", "--json", **ours))
        host = status["servers"][0]["address"]
        said = environment.lmstudio("sample", "--host", host, **ours)
        assert said.endswith("on a server 2.0.0")
    finally:
        environment.command("lmstudio-server", "stop", "--all", **ours)
    # A broken plugin breaks none of this.
    break_plugins(environment)
    environment.python(SAMPLE)
    assert "sample" in environment.lmstudio("--help")
    found = {(s["name"], s["kind"]): s["state"] for s in plugins(environment, ok=False)}
    assert found.pop(("broken", "capability")) == "failed"
    assert found.pop(("broken", "hooks")) == "failed"
    assert doctor(environment)["plugin"].count("problem") == 3


def break_plugins(environment: Environment) -> None:
    """Put a distribution there that is wrong in every way."""
    (packages,) = environment.folder.glob("lib/*/site-packages")
    (packages / "broken_everywhere.py").write_text("raise SystemExit('broken')")
    info = packages / "broken_everywhere-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(BROKEN)
