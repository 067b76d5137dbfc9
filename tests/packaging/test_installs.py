"""Parts of the family, each alone in a fresh environment, installed from wheels."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Environment, MakeEnvironment

NAMES = ("agent", "batch", "cli", "core", "embed", "llm", "plugin", "server", "testing")
INSTALLED = f"""
import importlib.util
print(*[n for n in {NAMES!r} if importlib.util.find_spec("lmstudio_" + n)])
"""
MISSING = """
import lmstudio_core as lms
try:
    lms.{name}
except AttributeError as error:
    print(error)
"""


def check(environment: Environment, *expected: str) -> None:
    """These import packages of the family are there, no others, and all their needs are met."""
    assert environment.python(INSTALLED).split() == list(expected)
    assert environment.pip("check") == "No broken requirements found."
    version = environment.python("import lmstudio_core; print(lmstudio_core.__version__)")
    if "cli" in expected:
        assert environment.lmstudio("--version").endswith(version)


def test_core_alone(installed: MakeEnvironment) -> None:
    environment = installed("lmstudio-core")
    check(environment, "core")
    for name, package in (("llm", "lmstudio-llm"), ("embedding_model", "lmstudio-embed")):
        assert f"pip install {package}" in environment.python(MISSING.format(name=name))
    # No command line, and nothing that every run of pytest would load.
    there = environment.python(
        "from importlib.metadata import entry_points\n"
        "from importlib.util import find_spec\n"
        "print([n for n in ('click', 'rich', 'prompt_toolkit', 'pytest') if find_spec(n)])\n"
        "print([e.name for e in entry_points(group='pytest11')])"
    )
    assert there == "[]\n[]"
    assert not (environment.bin / "lmstudio").exists()


def test_the_command_with_core_alone(installed: MakeEnvironment) -> None:
    environment = installed("lmstudio-cli")
    check(environment, "cli", "core")
    assert "lmstudio-llm" in environment.lmstudio("chat", ok=False)
    assert "models" in environment.lmstudio("plugins")
    assert not (environment.bin / "lmstudio").exists()


def test_a_command_appears_with_its_package(installed: MakeEnvironment) -> None:
    environment = installed("lmstudio-cli", "lmstudio-llm")
    check(environment, "cli", "core", "llm")
    assert "--model" in environment.lmstudio("chat", "--help")


def test_embed_without_llm_and_agent(installed: MakeEnvironment) -> None:
    environment = installed("lmstudio-embed")
    check(environment, "core", "embed")
    assert "pip install lmstudio-llm" in environment.python(MISSING.format(name="llm"))
    printed = environment.python(
        "import sys, lmstudio_core as lms\n"
        "print(lms.embedding_model.__module__, lms.EmbeddingModel.__name__)\n"
        "print([n for n in sys.modules if n.startswith(('lmstudio_llm', 'lmstudio_agent'))])"
    )
    assert printed == "lmstudio_embed.convenience EmbeddingModel\n[]"


def test_llm_without_embed_and_agent(installed: MakeEnvironment) -> None:
    environment = installed("lmstudio-llm")
    check(environment, "core", "llm")
    assert "pip install lmstudio-embed" in environment.python(
        MISSING.format(name="embedding_model")
    )
    printed = environment.python(
        "import lmstudio_core as lms\n"
        "chat = lms.Chat('Be brief.')\n"
        "print(chat.add_user_message('Hello'), lms.llm.__module__)"
    )
    assert printed == "UserMessage(content=[TextData(text='Hello')]) lmstudio_llm.convenience"


def test_the_whole_family_is_light_to_import(installed: MakeEnvironment) -> None:
    environment = installed("lmstudio")
    check(environment, "agent", "batch", "cli", "core", "embed", "llm", "plugin")
    assert "lmstudio-server" in environment.command("lmstudio", "server", "start", ok=False)
    assert environment.command("python", "-m", "lmstudio", "--version").startswith("lmstudio")
    heavy = environment.python(
        "import sys\n"
        "import lmstudio as lms\n"
        "heavy = 'asyncio', 'pydantic', 'websockets', 'lmstudio_llm', 'lmstudio_embed'\n"
        "print([n for n in heavy if n in sys.modules])\n"
        "missing = [n for n in lms.__all__ if not hasattr(lms, n)]\n"
        "print(missing)"
    )
    assert heavy == "[]\n[]"


def test_with_the_server_a_model_answers(fresh: MakeEnvironment, tmp_path: Path) -> None:
    environment = fresh("lmstudio[server]")
    check(environment, *(name for name in NAMES if name != "testing"))
    # LM Studio's ports are not looked at: the bundled server is what is tested here.
    ours = {"LMSTUDIO_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}
    try:
        answer = environment.python(
            "import lmstudio_server.embedded as embedded, lmstudio as lms\n"
            "lms.configure_default_client(embedded.ensure_running())\n"
            "print(lms.llm('pocket').respond('What is the meaning of life?'))",
            **ours,
        )
        assert "meaning of life" in answer
    finally:
        environment.command("lmstudio-server", "stop", "--all", **ours)


def test_upgrade_over_the_official_sdk(fresh: MakeEnvironment) -> None:
    environment = fresh("lmstudio==1.5.0")
    assert environment.python("import lmstudio; print(lmstudio.__version__)") == "1.5.0"
    environment.install("--upgrade", "lmstudio")
    check(environment, "agent", "batch", "cli", "core", "embed", "llm", "plugin")
    printed = environment.python(
        "import lmstudio, lmstudio.sync_api, lmstudio.async_api\n"
        "print(lmstudio.__version__, lmstudio.sync_api.LLM is lmstudio.LLM)"
    )
    assert printed == "2.0.0 True"
    # Not one file of the old package is left over.
    files = environment.pip("show", "--files", "lmstudio")
    there = {path.name for path in environment.folder.glob("lib/*/site-packages/lmstudio/*")}
    assert there - {"__pycache__"} <= {line.rpartition("/")[2] for line in files.split()}


def test_tools_for_commands_find_it(
    fresh: MakeEnvironment, wheels: list[Path], tmp_path: Path
) -> None:
    """pipx (with pip and with uv), ``uv tool install`` and ``uvx``."""
    environment = fresh()
    environment.pip("install", "--quiet", "pipx", "uv")
    places = {
        name: str(tmp_path / name.lower())
        for name in ("PIPX_HOME", "PIPX_BIN_DIR", "UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "UV_CACHE_DIR")
    }
    links = [part for folder in wheels for part in ("--find-links", str(folder))]
    wanted = "lmstudio==2.0.0"

    def run(*command: str) -> None:
        environment.command(*command, **places, PATH=f"{environment.bin}:{os.environ['PATH']}")

    def works(folder: str) -> bool:
        done = subprocess.run(
            [f"{places[folder]}/lmstudio", "--version"], capture_output=True, text=True, check=True
        )
        return done.stdout == "lmstudio, version 2.0.0\n"

    for backend in ("pip", "uv"):
        arguments = f"--pip-args={' '.join(links)}"  # pipx itself wants a new pip of the index
        run("pipx", "install", "--backend", backend, arguments, wanted)
        assert works("PIPX_BIN_DIR")
        run("pipx", "uninstall", "lmstudio")
    run("uv", "tool", "install", "--no-index", *links, wanted)
    assert works("UV_TOOL_BIN_DIR")
    run("uvx", "--no-index", *links, "--from", wanted, "lmstudio", "--version")
