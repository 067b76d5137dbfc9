"""The plugin API: what is in it, that it is enough for the family, and how it may change."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lmstudio_cli.command import build
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.plugins import api as plugin_api
from lmstudio_core.plugins import capability, hookspecs
from lmstudio_core.plugins.checks import RESERVED_NAMES
from lmstudio_core.plugins.claims import RESERVED_COMMANDS

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("plugin_api.json")
FAMILY = {"llm": "*.py", "embed": "*.py", "agent": "*.py", "server": "plugin.py"}
"""The family's plugins; of the server, which is a program besides, what makes it a plugin."""


def hooks() -> dict[str, list[str]]:
    return {
        name: list(inspect.signature(function).parameters)
        for name, function in sorted(vars(hookspecs).items())
        if name.startswith("lmstudio_")
    }


def test_every_name_is_there_and_is_what_its_home_has():
    for home, names in plugin_api._HOMES.items():
        module = importlib.import_module(f"lmstudio_core.{home}")
        for name in names:
            assert getattr(plugin_api, name) is getattr(module, name)
    assert set(plugin_api.__all__) <= set(dir(plugin_api))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = plugin_api.nonsense


def test_checkers_see_the_same_names():
    tree = ast.parse(Path(plugin_api.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (node.module if node.level == 2 else f"plugins.{node.module}", alias.asname)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(home, name) for home, names in plugin_api._HOMES.items() for name in names}
    assert sorted(name for _, name in seen) == sorted(plugin_api.__all__)


def imports_of(package: str) -> set[tuple[str, str]]:
    """What the modules of a package of the family import from core, as (module, name)."""
    found = set()
    for path in (ROOT / f"packages/lmstudio-{package}/src").rglob(FAMILY[package]):
        if "testing" in path.name:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmstudio_core"):
                found |= {(node.module, alias.name) for alias in node.names}
    return {(module, name) for module, name in found if not module.endswith(".testing")}


@pytest.mark.parametrize("package", FAMILY)
def test_the_family_has_no_door_of_its_own(package):
    for module, name in sorted(imports_of(package)):
        found = getattr(importlib.import_module(module), name)
        if inspect.ismodule(found):  # ``from lmstudio_core.models import operations``
            continue
        assert name in plugin_api.__all__, f"{module}.{name} is not in the plugin API"
        assert getattr(plugin_api, name) is found


def test_declaring_a_plugin_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from lmstudio_core.plugins.api import Capability, hookimpl\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_api_of_each_supported_version_is_still_there():
    """Adding a name or a hook raises ``API_VERSION``; dropping one, ``OLDEST_API_VERSION``.

    After raising ``API_VERSION``, add the new version to plugin_api.json. Until 2.0.0 is released,
    version 1 may be written anew: ``python tests/core/test_core_plugin_api.py``.
    """
    record = json.loads(RECORD.read_text("utf-8"))
    now = {"names": sorted(plugin_api.__all__), "hooks": hooks()}
    assert record[str(plugin_api.API_VERSION)] == now, (
        "run python tests/core/test_core_plugin_api.py"
    )
    for version in range(plugin_api.OLDEST_API_VERSION, plugin_api.API_VERSION):
        older = record[str(version)]
        assert set(older["names"]) <= set(now["names"])
        for hook, arguments in older["hooks"].items():
            assert set(arguments) <= set(now["hooks"][hook])


def test_the_page_lists_every_hook():
    page = (ROOT / "docs/plugins.md").read_text("utf-8")
    table = re.sub(r"`(lmstudio_\w+?)_started`(.*?)`\(", _whole, page)
    for hook in hooks():
        assert f"`{hook}" in table, hook


def _whole(match: re.Match[str]) -> str:
    """Write "`a_started`, `…_finished` `(x)`" out in full."""
    stem = match[1]
    return f"`{stem}_started`" + match[2].replace("`…_", f"`{stem}_") + "`("


def test_deprecations_keep_their_promise():
    for name, old in plugin_api.DEPRECATED.items():
        assert name in plugin_api.__all__
        assert old.since <= plugin_api.API_VERSION < old.gone_in
        assert old.gone_in >= old.since + 2


def test_a_deprecated_name_says_so_each_time(monkeypatch):
    monkeypatch.setitem(plugin_api.DEPRECATED, "KV", plugin_api.Deprecation(1, 3, "ConfigModel"))
    vars(plugin_api).pop("KV", None)
    for _ in range(2):
        with pytest.warns(
            DeprecationWarning, match="KV is deprecated since plugin API 1 and goes with 3"
        ) as caught:
            from lmstudio_core.plugins.api import KV  # noqa: F401
        assert caught[0].filename == __file__


def test_what_clients_have_is_reserved():
    namespaces = {name for name in dir(Client) if name in ("llm", "embedding", "agent")}
    for kind in (Client, AsyncClient):
        for name, value in inspect.getmembers(kind):
            if not name.startswith("_") and name not in RESERVED_NAMES:
                assert isinstance(value, property), name
                namespaces.add(name)
    assert not namespaces & RESERVED_NAMES
    assert all(hasattr(Client, n) or hasattr(AsyncClient, n) for n in RESERVED_NAMES)


def test_the_command_line_is_reserved():
    group = build()
    assert isinstance(group, click.Group)
    assert set(group.commands) == RESERVED_COMMANDS


def test_a_capability_that_says_no_version_was_written_for_the_first(monkeypatch):
    monkeypatch.setattr(capability, "API_VERSION", 5)
    assert capability.Capability("toys", "a:B", "a:C").api_version == 1


if __name__ == "__main__":
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    now = {"names": sorted(plugin_api.__all__), "hooks": hooks()}
    record[str(plugin_api.API_VERSION)] = now
    RECORD.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
