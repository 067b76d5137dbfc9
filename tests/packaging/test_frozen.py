"""Real programs, frozen: by PyInstaller as a folder and as a file, and by Nuitka."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipapp
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lmstudio_testing import FakeServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .conftest import Built, Environment, MakeEnvironment

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("LMSTUDIO_TEST_DEEP", "") in ("", "0"),
        reason="freezing takes minutes: LMSTUDIO_TEST_DEEP=1 runs it",
    ),
    pytest.mark.timeout(1800),
]

PROGRAM = Path(__file__).with_name("frozen_program.py")
FAMILY = ("core", "llm", "embed", "agent", "plugin")
EXPECTED = """\
respond Hi.
stream Hi.
act It is 42.
structured {'name': 'Paris'}
embed 8
async respond Hi.
async act It is 42.
async embed 8
default Hi.
names []
version True
no server: True True
"""


def freeze(environment: Environment, *command: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LM"))}
    done = subprocess.run(
        [str(environment.bin / "python"), "-m", *command, str(PROGRAM)],
        cwd=environment.folder,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run(program: Path, folder: Path) -> str:
    """What the program prints, with a scripted server for it to talk to."""
    with FakeServer() as server:
        server.embedding()
        model = server.llm().respond("Hi.", times=2)
        model.call_tool("multiply", {"a": 6, "b": 7}).respond("It is 42.")
        model.respond({"name": "Paris"})
        model.respond("Hi.").call_tool("multiply", {"a": 6, "b": 7}).respond("It is 42.")
        model.respond("Hi.")
        done = subprocess.run(
            [str(program), server.api_host],
            env={"HOME": str(folder), "PATH": os.defpath},  # no Python is to be found by chance
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("form", ["--onedir", "--onefile"])
@pytest.mark.parametrize("family", ["lmstudio", "lmstudio[server]"])
def test_pyinstaller(fresh: MakeEnvironment, tmp_path: Path, form: str, family: str) -> None:
    environment = fresh(family)
    environment.add("pyinstaller")
    freeze(environment, "PyInstaller", "--log-level", "WARN", form, "--name", "frozen")
    made = environment.folder / "dist" / "frozen"
    assert run(made if form == "--onefile" else made / "frozen", tmp_path) == EXPECTED
    # A hundred megabytes that no frozen program could use.
    assert not list(environment.folder.glob("dist/**/xllamacpp*.so"))


ZIPAPP = """
import asyncio
import lmstudio as lms
import lmstudio_server.embedded as embedded

lms.configure_default_client(embedded.ensure_running())
print(lms.llm("pocket").respond("What is the capital of France?"))
with lms.Client(lms.get_default_client().api_host) as client:
    file = client.files.prepare_file(b"<p>Hello</p>", "a.html")
    print(client.files.parse_document(file).content)
"""


def test_a_zipapp_starts_its_own_server(
    fresh: MakeEnvironment, built: Mapping[str, Built], tmp_path: Path
) -> None:
    """All of the family is in the archive, and what it depends on is installed."""
    environment = fresh("lmstudio[server]")
    packed = tmp_path / "packed"
    for one in built.values():
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(one.source, packed / one.import_name, ignore=no_caches)
    environment.pip("uninstall", "--yes", "--quiet", *built)
    (packed / "__main__.py").write_text(ZIPAPP, "utf-8")
    archive = tmp_path / "program.pyz"
    zipapp.create_archive(packed, archive)
    ours = {"LMSTUDIO_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}
    try:
        said = environment.command("python", str(archive), **ours)
        assert "The capital of France is Paris.\nHello\n" in said
    finally:
        stop = f"import sys; sys.path.append({str(archive)!r}); import lmstudio_server.cli as cli; "
        environment.python(stop + "sys.argv[1:] = ['stop', '--all']; cli.main()", **ours)


def test_nuitka(fresh: MakeEnvironment, tmp_path: Path) -> None:
    environment = fresh("lmstudio")
    environment.add("nuitka")
    packages = [f"--include-package=lmstudio_{name}" for name in FAMILY]
    without = ["--nofollow-import-to=lmstudio_testing", "--nofollow-import-to=pytest"]
    freeze(
        environment,
        *("nuitka", "--standalone", "--assume-yes-for-downloads", "--quiet"),
        *("--include-distribution-metadata=lmstudio-core", *packages, *without),
    )
    made = environment.folder / f"{PROGRAM.stem}.dist" / f"{PROGRAM.stem}.bin"
    assert run(made, tmp_path) == EXPECTED
