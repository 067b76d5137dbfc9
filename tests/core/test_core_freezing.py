"""What PyInstaller is told to include; tests/packaging freezes real programs with it."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path

import pytest
from importlib_metadata import EntryPoint, distribution

import lmstudio
import lmstudio_core
from lmstudio_core.plugins import freezing
from lmstudio_core.plugins import registry as plugins
from lmstudio_core.plugins.capability import CAPABILITY_GROUP, Capability
from lmstudio_core.plugins.family import ANNOUNCED, FAMILY

IN_PROGRAMS = [name for name in FAMILY if name != "lmstudio-testing"]
"""What is for tests is in no program, and needs pytest."""


@pytest.fixture(autouse=True)
def pyinstaller(monkeypatch):
    """As much of PyInstaller as the hooks use."""
    hooks = types.ModuleType("PyInstaller.utils.hooks")
    hooks.copy_metadata = lambda name: [(f"{name}.dist-info", f"{name}.dist-info")]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)


def run_hook(package):
    (folder,) = freezing.hook_dirs()
    return runpy.run_path(str(Path(folder) / f"hook-{package}.py"))


def modules(package):
    root = Path(sys.modules[package].__file__ or "").parent
    for path in root.rglob("*.py"):
        if path.stem.isidentifier() and not {"testing", "pytest_plugin"} & {
            *path.relative_to(root).with_suffix("").parts
        }:
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__")


def test_pyinstaller_finds_the_hooks():
    (found,) = distribution("lmstudio-core").entry_points.select(group="pyinstaller40")
    assert found.load()() == freezing.hook_dirs()
    there = {path.name for path in Path(freezing.hook_dirs()[0]).glob("hook-*.py")}
    assert there == {f"hook-{name.replace('-', '_')}.py" for name in IN_PROGRAMS}


@pytest.mark.parametrize("name", IN_PROGRAMS)
def test_each_package_is_included_whole(name):
    package = pytest.importorskip(name.replace("-", "_")).__name__
    hook = run_hook(package)
    assert set(modules(package)) <= set(hook["hiddenimports"])
    assert (f"{name}.dist-info", f"{name}.dist-info") in hook["datas"]
    assert not [m for m in hook["hiddenimports"] if "testing" in m or "pytest" in m or "-" in m]


def test_all_that_is_named_by_strings_is_included():
    included = {m for n in FAMILY for m in freezing.collected(n)[1]}
    named = {
        value.partition(":")[0]
        for g in ANNOUNCED.values()
        for e in g.values()
        for value in e.values()
    }
    assert named <= included
    assert set(lmstudio.HOME_OF.values()) <= included
    assert {f"lmstudio_core.{home}" for home in lmstudio_core.HOME_OF.values()} <= included


def test_what_is_imported_by_a_string_is_included_where_it_is_installed(monkeypatch):
    pytest.importorskip("lmstudio_embed")
    pytest.importorskip("numpy")
    assert "numpy" in freezing.collected("lmstudio-embed")[1]
    assert "pyarrow" not in freezing.collected("lmstudio-embed")[1]
    assert "xllamacpp" not in freezing.collected("lmstudio-server")[1]
    real = freezing.importlib.util.find_spec
    monkeypatch.setattr(
        freezing.importlib.util, "find_spec", lambda name: None if name == "numpy" else real(name)
    )
    assert "numpy" not in freezing.collected("lmstudio-embed")[1]


def test_files_beside_the_modules_are_included():
    pytest.importorskip("lmstudio_server")
    datas = {(Path(source).name, target) for source, target in run_hook("lmstudio_server")["datas"]}
    assert ("status.html", "lmstudio_server/doors/page") in datas
    assert ("pocket-q8_0.gguf", "lmstudio_server/pocket") in datas
    assert not [name for name, _ in datas if name.endswith((".py", ".pyc"))]


class Acme:
    """A distribution that is not of the family."""

    metadata: dict[str, str] = {"Name": "acme-toys"}  # noqa: RUF012 - as importlib_metadata has it
    version = "1.0"


def entry(name, value, group=CAPABILITY_GROUP):
    return EntryPoint(name, value, group)._for(Acme())


@pytest.fixture
def acme(monkeypatch):
    """Its plugins are installed: a capability, a broken one, hooks, an engine."""
    capability = Capability(
        "toys",
        "acme.namespaces:Toys",
        "acme.aio:Toys",
        {"Toy": "acme.toy:Toy"},
        "acme.kind:KIND",
    )
    module = types.ModuleType("acme_capability")
    module.CAPABILITY = capability  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_capability", module)
    found = [
        entry("toys", "acme_capability:CAPABILITY"),
        entry("broken", "acme_broken:CAPABILITY"),
        entry("hooks", "acme_hooks", "lmstudio.plugins"),
        entry("engine", "acme_engine:Engine", "lmstudio.engines"),
    ]
    monkeypatch.setattr(freezing, "entry_points", lambda: (found, []))
    monkeypatch.setattr(freezing, "plugins", plugins.Plugins(found))
    monkeypatch.setattr(freezing, "version_of_distribution", lambda _: "1.0")


def test_plugins_of_others_are_included(acme, caplog):
    hook = run_hook("lmstudio_core")
    assert ("acme-toys.dist-info", "acme-toys.dist-info") in hook["datas"]
    expected = {
        *("acme_capability", "acme_broken", "acme_hooks", "acme_engine"),
        *("acme.namespaces", "acme.aio", "acme.toy", "acme.kind"),
    }
    assert expected <= set(hook["hiddenimports"])
    assert "the capability 'broken'" in caplog.text


def test_without_metadata_there_is_none_to_copy(monkeypatch):
    monkeypatch.setattr(freezing, "version_of_distribution", lambda _: None)
    datas, hidden = freezing.collected("lmstudio-llm")
    assert "lmstudio_llm.namespaces" in hidden
    assert not [source for source, _ in datas if "dist-info" in source]
