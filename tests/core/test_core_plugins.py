"""Plugins from made-up entry points: what is broken harms only itself, and says what it is."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
import types

import click
import pluggy
import pytest
from click.testing import CliRunner
from importlib_metadata import EntryPoint

import lmstudio_core
from lmstudio_cli import command
from lmstudio_core import errors
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.client import base as client_base
from lmstudio_core.plugins import checks as plugin_checks
from lmstudio_core.plugins import exports, installed
from lmstudio_core.plugins.capability import CAPABILITY_GROUP, Capability
from lmstudio_core.plugins.claims import Claims
from lmstudio_core.plugins.hookspecs import PLUGIN_GROUP, hookimpl
from lmstudio_core.plugins.installed import how_to_install, leftovers, version_of_distribution
from lmstudio_core.plugins.registry import Plugins
from lmstudio_core.plugins.state import Record


class Dist:
    def __init__(self, name, version="1.2"):
        self.metadata = {"Name": name}
        self.version = version


def entry(name, value, group=CAPABILITY_GROUP, dist="acme"):
    point = EntryPoint(name, value, group)
    return point._for(Dist(dist)) if dist else point


def hooks(name, value, dist="acme"):
    return entry(name, value, PLUGIN_GROUP, dist)


@pytest.fixture
def module(monkeypatch):
    """Makes modules that entry points can name."""

    def make(name, **contents):
        made = types.ModuleType(name)
        vars(made).update(contents)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


class Space:
    def __init__(self, client):
        self.client = client


def capability(name="toys", **changes):
    return Capability(name, f"{__name__}:Space", f"{__name__}:Space", **changes)


# -- capabilities ----------------------------------------------------------------------------------


def test_a_capability_is_found_by_name(module):
    module("acme_toys", CAP=capability())
    plugins = Plugins([entry("toys", "acme_toys:CAP")], {})
    assert plugins.capability_names() == ["toys"]
    assert plugins.capability("toys").load_sync() is Space
    assert plugins.capability("toys") is plugins.capability("toys")
    assert [s.state for s in plugins.states()] == ["ok"]


def test_nothing_is_imported_before_use():
    plugins = Plugins([entry("toys", "a_module_that_does_not_exist:CAP")], {})
    assert plugins.capability_names() == ["toys"]
    assert "a_module_that_does_not_exist" not in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [("llm", how_to_install("lmstudio-llm")), ("toys", "Installed: other")],
)
def test_a_missing_capability_says_what_to_do(name, message):
    plugins = Plugins([entry("other", "x:y")], {})
    with pytest.raises(errors.CapabilityNotInstalledError, match=re.escape(message)) as caught:
        plugins.capability(name)
    assert caught.value.capability == name


def test_a_broken_import_names_the_distribution():
    plugins = Plugins([entry("toys", "a_module_that_does_not_exist:CAP")], {})
    with pytest.raises(errors.PluginLoadError, match=r"'toys' of acme 1\.2") as caught:
        plugins.capability("toys")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert (caught.value.plugin, caught.value.distribution) == ("toys", "acme")
    (state,) = plugins.states()
    assert (state.state, state.distribution, state.version) == ("failed", "acme", "1.2")
    assert "a_module_that_does_not_exist" in state.detail


def test_a_module_that_raises_anything(module):
    class Rude:
        def __getattr__(self, name):
            raise ZeroDivisionError(name)

    sys.modules["acme_rude"] = Rude()
    try:
        with pytest.raises(errors.PluginLoadError, match="ZeroDivisionError"):
            Plugins([entry("toys", "acme_rude:CAP")], {}).capability("toys")
    finally:
        del sys.modules["acme_rude"]


def test_something_that_is_no_capability(module):
    module("acme_toys", CAP="hello")
    with pytest.raises(errors.PluginLoadError, match="is str, not a Capability"):
        Plugins([entry("toys", "acme_toys:CAP")], {}).capability("toys")


def test_a_newer_plugin_api(module):
    module("acme_toys", CAP=capability(api_version=99))
    with pytest.raises(errors.PluginLoadError, match=r"needs plugin API 99.*Upgrade lmstudio-core"):
        (plugins := Plugins([entry("toys", "acme_toys:CAP")], {})).capability("toys")
    (state,) = plugins.states()
    assert state.detail.startswith("acme 1.2 needs plugin API 99")  # not "Acme": it is a name


def test_two_packages_that_claim_one_name(module):
    module("acme_toys", CAP=capability())
    entries = [entry("toys", "acme_toys:CAP"), entry("toys", "acme_toys:CAP", dist="other")]
    plugins = Plugins(entries, {})
    with pytest.raises(
        errors.PluginLoadError, match=r"Both acme 1\.2 and other 1\.2 provide 'toys'"
    ):
        plugins.capability("toys")
    assert [s.state for s in plugins.states()] == ["conflict", "conflict"]


def test_an_editable_install_that_is_listed_twice(module):
    module("acme_toys", CAP=capability())
    plugins = Plugins([entry("toys", "acme_toys:CAP")] * 2, {})
    assert plugins.capability("toys").name == "toys"


def test_an_entry_point_without_a_distribution(module):
    module("acme_toys", CAP=capability())
    plugins = Plugins([entry("toys", "acme_toys:CAP", dist=None)], {})
    assert plugins.capability("toys").name == "toys"
    assert plugins.states()[0].distribution == "(unknown distribution)"


def test_disabled(module):
    environment = {"LMSTUDIO_DISABLE_PLUGINS": "other, toys"}
    plugins = Plugins(
        [entry("toys", "never_imported:CAP"), hooks("other", "never_imported")], environment
    )
    assert plugins.capability_names() == []
    with pytest.raises(errors.CapabilityNotInstalledError, match="turned off by LMSTUDIO_DISABLE"):
        plugins.capability("toys")
    assert [s.state for s in plugins.states()] == ["disabled", "disabled"]
    assert "never_imported" not in sys.modules


@pytest.mark.parametrize(
    "listed", ["ACME_Toys", "acme-toys", "acme--toys", "My.Toys", " my_-toys "]
)
def test_names_of_what_is_turned_off_are_compared_as_packages_are(listed, caplog):
    points = [entry("my_toys", "never_imported:CAP", dist="Acme.Toys"), entry("other", "x:y")]
    plugins = Plugins(points, {"LMSTUDIO_DISABLE_PLUGINS": f"{listed},"})
    assert plugins.capability_names() == ["other"]
    assert caplog.records == []


def test_a_name_to_turn_off_that_no_plugin_has_is_a_warning(caplog):
    plugins = Plugins([entry("toys", "x:y")], {"LMSTUDIO_DISABLE_PLUGINS": "toys,acme,tyos"})
    for _ in range(2):
        assert plugins.capability_names() == []
    (record,) = caplog.records
    assert "names 'tyos'" in record.getMessage()
    assert record.levelname == "WARNING"


def test_exports_of_the_facade(module):
    module("acme_toys", CAP=capability(exports={"Toy": "acme_toys:Toy"}), Toy=int)
    plugins = Plugins([entry("broken", "nowhere:CAP"), entry("toys", "acme_toys:CAP")], {})
    assert plugins.find_export("Toy") == "acme_toys:Toy"
    assert plugins.find_export("Nothing") is None
    assert plugins.export_names() == ["Toy"]


@pytest.mark.parametrize("package", sorted(lmstudio_core._ELSEWHERE))
def test_a_name_of_a_package_that_is_missing_says_what_to_install(package, monkeypatch):
    names = lmstudio_core._ELSEWHERE[package]
    installed = pytest.importorskip(f"{package.replace('-', '_')}.capability").CAPABILITY
    assert set(names) <= set(installed.exports)
    monkeypatch.setattr("lmstudio_core.plugins.registry.plugins", Plugins([], {}))
    for name in names:
        with pytest.raises(AttributeError, match=re.escape(how_to_install(package))):
            exports._of_capability("lmstudio_core", name, lmstudio_core._ELSEWHERE)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_clients_reach_namespaces_by_name(module, monkeypatch, kind):
    module("acme_toys", CAP=capability(), BAD=capability("bad", exports={}))
    broken = Capability("broken", "acme_toys:Missing", "acme_toys:Missing")
    module("acme_broken", CAP=broken)
    plugins = Plugins([entry("toys", "acme_toys:CAP"), entry("broken", "acme_broken:CAP")], {})
    monkeypatch.setattr(client_base, "plugins", plugins)
    client = kind("127.0.0.1:9")
    assert isinstance(client.toys, Space)
    assert client.toys is client.capability("toys")
    assert client.toys.client is client
    assert isinstance(client.capability(capability("own")), Space)
    assert "toys" in dir(client)
    assert not hasattr(client, "nothing")
    with pytest.raises(errors.CapabilityNotInstalledError, match="lmstudio-llm"):
        client.llm.model("x")
    with pytest.raises(errors.PluginLoadError, match=r"'broken' of acme 1\.2") as caught:
        client.capability("broken")
    assert isinstance(caught.value.__cause__, AttributeError)


# -- hooks -----------------------------------------------------------------------------------------


class Finds:
    def __init__(self, answer):
        self.answer = answer

    @hookimpl
    def lmstudio_find_server(self, tried):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def finding(module, *answers, environment=None):
    """Plugins whose finders answer in this order."""
    entries = []
    for number, answer in enumerate(reversed(answers)):  # the last registered is asked first
        module(f"acme_{number}", plugin=Finds(answer))
        entries.append(hooks(f"p{number}", f"acme_{number}:plugin"))
    return Plugins(entries, environment or {})


def test_the_first_plugin_that_finds_a_server_wins(module):
    assert finding(module, None, "a:1", "b:2").find_server(()) == "a:1"
    assert finding(module, None, None).find_server(()) is None
    assert finding(module).find_server(()) is None


def test_a_plugin_that_fails_does_not_stop_the_next(module, caplog):
    assert finding(module, KeyError("oops"), "b:2").find_server(()) == "b:2"
    assert "failed in lmstudio_find_server" in caplog.text


@pytest.mark.parametrize("nonsense", [42, "", "no port", ["a:1"]])
def test_what_is_no_address_is_a_plugins_failure_and_no_more(module, caplog, nonsense):
    plugins = finding(module, nonsense, "b:2")
    assert plugins.find_server(()) == "b:2"
    assert "failed in lmstudio_find_server" in caplog.text
    failed = {state.name: state.detail for state in plugins.states() if state.state == "failed"}
    assert list(failed) == ["p1"]
    assert "'host:port'" in failed["p1"]


def test_a_plugin_may_say_why_it_cannot_start_a_server(module):
    plugins = finding(module, errors.LMStudioRuntimeError("no space"), "b:2")
    with pytest.raises(errors.LMStudioRuntimeError, match="no space"):
        plugins.find_server(())


def test_strict_plugins_raise(module):
    strict = {"LMSTUDIO_STRICT_PLUGINS": "1"}
    with pytest.raises(errors.PluginLoadError, match="KeyError"):
        finding(module, KeyError("oops"), "b:2", environment=strict).find_server(())
    with pytest.raises(errors.PluginLoadError, match="nowhere"):
        _ = Plugins([hooks("bad", "nowhere:plugin")], strict).manager
    module("acme_bad", lmstudio_no_such_hook=hookimpl(lambda: None))
    with pytest.raises(errors.PluginLoadError, match="Could not be used"):
        _ = Plugins([hooks("bad", "acme_bad")], strict).manager
    assert Plugins([], {"LMSTUDIO_STRICT_PLUGINS": "0"})._strict is False


def unknown_argument(tried, nonsense):
    return "x:1"


def test_hook_plugins_that_cannot_be_used_are_skipped(module, caplog):
    caplog.set_level(logging.WARNING)
    module("acme_good", plugin=Finds("good:1"))
    module("acme_hook", lmstudio_no_such_hook=hookimpl(lambda: None))
    module("acme_argument", lmstudio_find_server=hookimpl(unknown_argument))
    entries = [
        hooks("good", "acme_good:plugin"),
        hooks("import", "nowhere:plugin"),
        hooks("hook", "acme_hook"),
        hooks("argument", "acme_argument"),
        hooks("again", "acme_good:plugin"),
    ]
    plugins = Plugins(entries, {})
    assert plugins.find_server(()) == "good:1"
    states = {s.name: s.state for s in plugins.states()}
    assert states == {
        "good": "ok",
        "import": "failed",
        "hook": "failed",
        "argument": "failed",
        "again": "failed",
    }
    assert caplog.text.count("skipped the plugin") == 4


async def finds_later(tried):
    return "x:1"


def test_hooks_that_would_never_do_their_work_are_named(module):
    module("acme_async", lmstudio_find_server=hookimpl(finds_later))
    module("acme_class", plugin=Finds)
    entries = [hooks("async", "acme_async"), hooks("class", "acme_class:plugin")]
    plugins = Plugins(entries, {})
    assert plugins.find_server(()) is None
    details = {state.name: state.detail for state in plugins.states()}
    assert "asynchronous" in details["async"]
    assert "give an instance of Finds" in details["class"]


def test_a_class_whose_hooks_need_no_object_is_a_plugin(module):
    class Static:
        @staticmethod
        @hookimpl
        def lmstudio_find_server(tried):
            return "static:1"

    module("acme_static", plugin=Static)
    plugins = Plugins([hooks("static", "acme_static:plugin")], {})
    assert plugins.find_server(()) == "static:1"


def test_hooks_may_leave_arguments_out(module):
    module("acme_short", lmstudio_find_server=hookimpl(lambda: "short:1"))
    assert Plugins([hooks("short", "acme_short")], {}).find_server(("a",)) == "short:1"


def test_observers_see_requests_and_cannot_break_them(module, monkeypatch, server, caplog):
    seen = []

    @hookimpl
    def note(endpoint, seconds, error):
        seen.append((endpoint, type(error)))
        assert seconds >= 0

    @hookimpl
    def fail():
        raise ZeroDivisionError

    module("acme_note", lmstudio_request_finished=note)
    module("acme_fail", lmstudio_request_finished=fail)
    plugins = Plugins([hooks("note", "acme_note"), hooks("fail", "acme_fail")], {})
    monkeypatch.setattr(client_base, "plugins", plugins)
    from core_clients import FACES, Count, echo, numbers

    server.on("test.echo", 1)
    server.on_channel("test.count", numbers(1))
    for make in FACES.values():
        seen.clear()
        face = make(server.api_host)
        face.run(echo(1))
        face.run(Count())
        with pytest.raises(errors.LMStudioRequestRejectedError):
            face.run(echo(1, "nonsense"))
        face.close()
        assert seen == [
            ("test.echo", type(None)),
            ("test.count", type(None)),
            ("test.nonsense", errors.LMStudioRequestRejectedError),
        ]
    assert "acme" in caplog.text


def test_observers_see_streams_that_were_left(module, monkeypatch, server):
    seen = []

    @hookimpl
    def note(endpoint, error):
        seen.append((endpoint, error))

    module("acme_note", lmstudio_request_finished=note)
    monkeypatch.setattr(client_base, "plugins", Plugins([hooks("note", "acme_note")], {}))
    from core_clients import Count, numbers

    server.on_channel("test.count", numbers(1, 2))
    with Client(server.api_host) as client:
        for _ in client.open(Count()):
            break
        with client.open(Count()) as stream:
            next(stream)

    async def main():
        async with AsyncClient(server.api_host) as client:
            async for _ in client.open(Count()):
                break
            async with client.open(Count()) as stream:
                await anext(aiter(stream))

    asyncio.run(main())
    assert seen == [("test.count", None)] * 4


def test_an_observer_that_always_fails_is_told_of_once(module, caplog):
    caplog.set_level(logging.INFO)

    @hookimpl
    def fail():
        raise ZeroDivisionError

    module("acme_fail", lmstudio_request_finished=fail)
    tell = Plugins([hooks("fail", "acme_fail")], {}).observer_hook()
    for _ in range(3):
        tell(endpoint="test.echo", seconds=0.0, error=None)
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    strict = Plugins([hooks("fail", "acme_fail")], {"LMSTUDIO_STRICT_PLUGINS": "1"})
    with pytest.raises(errors.PluginLoadError, match="failed in lmstudio_request_finished: Zero"):
        strict.observer_hook()(endpoint="test.echo", seconds=0.0, error=None)


def test_no_observer_costs_nothing():
    assert Plugins([], {}).observer_hook() is None


def test_plugins_are_loaded_once(module):
    module("acme_good", plugin=Finds("good:1"))
    plugins = Plugins([hooks("good", "acme_good:plugin")], {})
    assert plugins.manager is plugins.manager
    assert isinstance(plugins.hook, pluggy.HookRelay)


def test_installed_plugins_all_work():
    states = Plugins(None, {}).states()
    assert {s.name for s in states} >= {"models", "system"}
    assert {s.state for s in states} <= {"ok", "slow"}, states  # on a busy machine


# -- plugins of other kinds ------------------------------------------------------------------------

ENGINES = "lmstudio.engines"


def test_each_plugin_of_a_group_is_loaded_and_a_broken_one_named(module, caplog):
    module("good_engine", make=lambda: "engine")
    module("odd_engine", make=lambda: 1 / 0)
    points = [
        entry("missing", "no_such_module:make", ENGINES, "broken-package"),
        entry("odd", "odd_engine:make", ENGINES, "odd-package"),
        entry("good", "good_engine:make", ENGINES),
        entry("off", "no_such_module:make", ENGINES),
    ]
    found = Plugins(points, {"LMSTUDIO_DISABLE_PLUGINS": "off"})
    assert found.load_each(ENGINES, lambda name, make: (name, make())) == [("good", "engine")]
    assert [record.args[:2] for record in caplog.records] == [
        ("missing", "broken-package 1.2"),
        ("odd", "odd-package 1.2"),
    ]
    engines = {s.name: s.state for s in found.states() if s.kind == "engine"}
    assert engines == {"missing": "failed", "odd": "failed", "good": "ok", "off": "disabled"}
    strict = Plugins(points[1:2], {"LMSTUDIO_STRICT_PLUGINS": "1"})
    with pytest.raises(errors.PluginLoadError, match="'odd' of odd-package") as caught:
        strict.load_each(ENGINES, lambda _name, make: make())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# -- clashes, and what is odder still --------------------------------------------------------------


def test_the_familys_own_names_cannot_be_taken(module, caplog):
    theirs = capability("llm", exports={"LLM": "acme_llm:Mine", "Acme": "acme_llm:Mine"})
    module("acme_llm", CAP=theirs, Mine=int)
    ours = capability("llm", exports={"LLM": "real:LLM"})
    module("real_llm", CAP=ours)
    module("acme_more", CAP=capability("more", exports={"LLM": "acme_llm:Mine"}))
    plugins = Plugins(
        [
            entry("llm", "acme_llm:CAP"),
            entry("llm", "real_llm:CAP", dist="lmstudio-llm"),
            entry("more", "acme_more:CAP"),
        ],
        {},
    )
    assert plugins.capability("llm") is ours
    assert plugins.find_export("LLM") == "real:LLM"
    found = {(s.name, s.distribution): (s.state, s.detail) for s in plugins.states()}
    assert found["llm", "lmstudio-llm"] == ("ok", "")
    assert found["llm", "acme"] == ("conflict", "'llm' is that of lmstudio-llm 1.2.")
    assert found["more", "acme"] == ("conflict", "The name 'LLM' is that of lmstudio-llm 1.2.")


def test_an_export_that_two_claim_is_nobodys(module):
    module("acme_a", CAP=capability("a", exports={"Toy": "acme_a:Toy", "A": "acme_a:A"}))
    module("acme_b", CAP=capability("b", exports={"Toy": "acme_b:Toy"}))
    plugins = Plugins([entry("a", "acme_a:CAP"), entry("b", "acme_b:CAP", dist="other")], {})
    with pytest.raises(errors.PluginLoadError, match=r"'Toy' is claimed by both a \(acme\) and b"):
        plugins.find_export("Toy")
    assert plugins.find_export("A") == "acme_a:A"
    assert [s.state for s in plugins.states()] == ["conflict", "conflict"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("run", "behind the clients' own 'run'"), ("my-toys", "no name that can follow 'client.'")],
)
def test_a_capability_whose_name_cannot_be_reached(module, name, message):
    module("acme_toys", CAP=capability(name))
    with pytest.raises(errors.PluginLoadError, match=message):
        Plugins([entry(name, "acme_toys:CAP")], {}).capability(name)


def test_a_capability_that_calls_itself_otherwise(module):
    module("acme_toys", CAP=capability("games"))
    with pytest.raises(errors.PluginLoadError, match="calls itself 'games'"):
        Plugins([entry("toys", "acme_toys:CAP")], {}).capability("toys")


def test_an_older_plugin_api(module, monkeypatch):
    monkeypatch.setattr(plugin_checks, "API_VERSION", 4)
    monkeypatch.setattr(plugin_checks, "OLDEST_API_VERSION", 3)
    module("acme_toys", CAP=capability(api_version=2))
    with pytest.raises(
        errors.PluginLoadError, match=r"written for plugin API 2.* 3 to 4\. Upgrade"
    ):
        Plugins([entry("toys", "acme_toys:CAP")], {}).capability("toys")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"lmstudio_api_version": 99}, r"needs plugin API 99; .* Upgrade lmstudio-core"),
        ({"lmstudio_api_version": "1"}, "'1', which is not a whole number"),
        ({"lmstudio_find_servers": hookimpl(lambda: None)}, "did you mean 'lmstudio_find_server'"),
        ({"lmstudio_find_server": lambda: None}, "not marked with @hookimpl"),
        (
            {"lmstudio_find_server": hookimpl(lambda tryed: None)},
            "no argument 'tryed': did you mean 'tried'",
        ),
        ({}, "implements no hook"),
        (
            {"lmstudio_find_server": hookimpl(lambda tried, nonsense: None)},
            "no argument 'nonsense'; there are: tried",
        ),
    ],
)
def test_what_is_wrong_with_a_hook_plugin_is_said(module, contents, message):
    module("acme_odd", **contents)
    (state,) = Plugins([hooks("odd", "acme_odd")], {}).states()
    assert state.state == "failed"
    assert re.search(message, state.detail)


def test_a_module_that_exits_when_imported(tmp_path, monkeypatch):
    (tmp_path / "acme_leaves.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = Plugins([entry("toys", "acme_leaves:CAP"), hooks("toys", "acme_leaves")], {})
    with pytest.raises(errors.PluginLoadError, match="SystemExit: 3"):
        plugins.capability("toys")
    assert [s.state for s in plugins.states()] == ["failed", "failed"]


def test_a_program_that_asks_for_more_than_this_api_has(tmp_path, monkeypatch):
    (tmp_path / "acme_new.py").write_text("from lmstudio_core.plugins.api import NewThing")
    monkeypatch.syspath_prepend(tmp_path)
    (state,) = Plugins([hooks("new", "acme_new")], {}).states()
    assert "'NewThing'" in state.detail
    assert "plugin API 1" in state.detail


class Adds:
    def __init__(self, command="", toolset="", fails=False):
        self.command, self.toolset, self.fails = command, toolset, fails

    @hookimpl
    def lmstudio_register_commands(self, cli):
        cli.add_command(click.Command(self.command), self.command)
        cli.params.clear()
        if self.fails:
            raise ZeroDivisionError

    @hookimpl
    def lmstudio_register_toolsets(self, register):
        register(self.toolset, list)


def test_commands_and_toolsets_that_clash(module, caplog):
    module("acme_a", plugin=Adds("greet", "math"))
    module("acme_b", plugin=Adds("greet", "math"))
    module("acme_c", plugin=Adds("ls", "own"))
    module("acme_d", plugin=Adds("half", "good", fails=True))
    plugins = Plugins([hooks(n, f"acme_{n}:plugin", dist=f"acme-{n}") for n in "abcd"], {})
    commands, contested = plugins.commands()
    assert commands == {}
    assert re.match(r"The command 'greet' is claimed by both . \(acme-.\)", contested["greet"])
    toolsets, contested = plugins.toolsets()
    assert set(toolsets) == {"own", "good"}
    assert "turn off one" in contested["math"]
    found = {s.name: (s.state, s.detail) for s in plugins.states()}
    assert {n: state for n, (state, _) in found.items()} == {
        "a": "conflict",
        "b": "conflict",
        "c": "conflict",
        "d": "failed",
    }
    assert found["c"][1] == "The command 'ls' is lmstudio-core's own."
    assert found["d"][1] == "It failed in lmstudio_register_commands: ZeroDivisionError"
    # One of the two can be turned off by its distribution's name.
    off = {"LMSTUDIO_DISABLE_PLUGINS": "Acme_B"}
    plugins = Plugins([hooks(n, f"acme_{n}:plugin", dist=f"acme-{n}") for n in "ab"], off)
    assert set(plugins.commands()[0]) == {"greet"}


@pytest.mark.parametrize("arguments", [("", list), (7, list), ("math", 3)])
def test_toolsets_that_make_no_sense(module, arguments, caplog):
    @hookimpl
    def register(register):
        register("good", list)
        register(*arguments)

    module("acme_odd", lmstudio_register_toolsets=register)
    plugins = Plugins([hooks("odd", "acme_odd")], {})
    assert plugins.toolsets() == ({}, {})
    assert "takes a name and a function" in plugins.states()[0].detail


def test_a_slow_plugin_is_reported_once(module, monkeypatch, caplog):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    module("acme_slow", lmstudio_request_finished=hookimpl(lambda: None))
    plugins = Plugins([hooks("slow", "acme_slow")], {})
    observe = plugins.observer_hook()
    for _ in range(2):
        observe(endpoint="a.b", seconds=1.0, error=None)
    (state,) = plugins.states()
    assert (state.state, state.seconds) == ("slow", 2)
    assert "Importing it took 2.0 s" in state.detail


def test_a_slow_hook_is_reported_once(module, monkeypatch, caplog):
    module("acme_slow", lmstudio_request_finished=hookimpl(lambda: None))
    plugins = Plugins([hooks("slow", "acme_slow")], {})
    observe = plugins.observer_hook()
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    for _ in range(2):
        observe(endpoint="a.b", seconds=1.0, error=None)
    assert caplog.text.count("took 2.00 s in lmstudio_request_finished") == 1
    assert plugins.states()[0].state == "slow"


def test_strict_plugins_say_all_that_is_wrong(module):
    module("acme_good", plugin=Finds(None))
    points = [
        hooks("good", "acme_good:plugin"),
        entry("toys", "nowhere:CAP"),
        entry("games", "nowhere:CAP"),
        hooks("bad", "nowhere"),
    ]
    strict = Plugins(points, {"LMSTUDIO_STRICT_PLUGINS": "1"})
    for _ in range(2):
        with pytest.raises(
            errors.PluginLoadError, match=r"(?s)games \(acme 1\.2\): .*toys \(acme 1\.2\): .*bad "
        ) as caught:
            strict.find_server(())
        assert isinstance(caught.value.__cause__, errors.PluginLoadError)
    assert len(strict.states()) == 4


def distribution(folder, name, entry_points, metadata=True, version="1.0"):
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    if metadata:
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if entry_points is not None:
        (info / "entry_points.txt").write_bytes(entry_points)


def test_distributions_without_metadata_or_with_nonsense(tmp_path, monkeypatch, module):
    module("acme_toys", CAP=capability())
    announces = b"[lmstudio.capabilities]\n%s = acme_toys:CAP\n"
    distribution(tmp_path, "no-metadata", announces % b"toys", metadata=False)
    distribution(tmp_path, "nonsense", b"[lmstudio.capabilities]\nno equals sign\n")
    distribution(tmp_path, "bytes", b"[lmstudio.plugins]\nx = \xff\xfe\n")
    # What an interrupted upgrade leaves behind hides nothing.
    distribution(tmp_path, "acme-games", None, metadata=False, version="0.9")
    distribution(tmp_path, "acme-games", announces % b"games")
    module("acme_toys", CAP=capability())
    monkeypatch.syspath_prepend(tmp_path)
    plugins = Plugins(None, {})
    assert {"toys", "games", "models"} <= set(plugins.capability_names())
    assert plugins.capability("toys").name == "toys"
    assert plugins.capability("models").name == "models"
    found = {s.distribution: s for s in plugins.states()}
    assert found["no-metadata"].state == "ok"
    assert found["nonsense"].kind == "distribution"
    assert "entry_points.txt cannot be read" in found["nonsense"].detail


def announcing(root, name, version, module, *, folder=None, **options):
    """A distribution that announces the capability ``toys`` in a module, under another folder's name."""
    text = f"[lmstudio.capabilities]\ntoys = {module}:CAP\n".encode()
    distribution(root, name, text, version=version, **options)
    made = root / f"{name.replace('-', '_')}-{version}.dist-info"
    return made.rename(root / folder) if folder else made


@pytest.mark.parametrize("listed", [sorted, lambda names: sorted(names, reverse=True)])
def test_what_installers_leave_behind_counts_for_nothing(tmp_path, monkeypatch, module, listed):
    module("acme_toys", CAP=capability())
    module("acme_old", CAP=None)
    here, later = tmp_path / "here", tmp_path / "later"
    right = announcing(here, "acme-toys", "1.10.0", "acme_toys")
    stale = [
        announcing(here, "acme-toys", "1.9.0", "acme_old"),
        announcing(here, "acme-toys", "1.10.0rc1", "acme_old"),
        announcing(here, "acme-toys", "1.8", "acme_old", folder="~cme_toys-1.8.dist-info"),
        announcing(here, "other", "1", "acme_old", folder="~-her-1.dist-info"),
    ]
    announcing(later, "acme-toys", "2.0", "acme_old")  # as of the system's Python
    monkeypatch.setattr(os, "listdir", lambda path, real=os.listdir: listed(real(path)))
    for root in (later, here):
        monkeypatch.syspath_prepend(root)
    plugins = Plugins(None, {})
    assert plugins.capability("toys").name == "toys"
    (state,) = [s for s in plugins.states() if s.name == "toys"]
    assert (state.state, state.version) == ("ok", "1.10.0")
    assert version_of_distribution("Acme.Toys") == "1.10.0"
    assert sorted(map(str, stale)) == sorted(p for p in leftovers() if p.startswith(str(tmp_path)))
    assert str(right) not in leftovers()


def test_the_first_folder_with_a_whole_distribution_counts(tmp_path, monkeypatch, module):
    module("acme_toys", CAP=capability())
    announcing(tmp_path / "a", "acme-toys", "3", "acme_old", metadata=False)
    announcing(tmp_path / "b", "acme-toys", "1", "acme_toys")
    announcing(tmp_path / "c", "acme-toys", "2", "acme_old")
    for root in "cba":
        monkeypatch.syspath_prepend(tmp_path / root)
    assert Plugins(None, {}).capability("toys").name == "toys"
    assert version_of_distribution("acme-toys") == "1"
    assert not [path for path in leftovers() if path.startswith(str(tmp_path))]


@pytest.mark.parametrize(
    "rising",
    [
        [
            "nonsense",
            "0.9",
            "1.0.dev1",
            "1.0a1",
            "1.0b2",
            "1.0rc1",
            "1.0",
            "1.0.post1",
            "1.0.1",
            "1.9",
            "1.10",
        ],
        ["9.9", "1!0.1"],
    ],
)
def test_versions_are_compared_as_installers_do(rising):
    assert [*map(installed._order, rising)] == sorted(map(installed._order, rising))
    assert installed._order("1.0.0") == installed._order("1.0")


def test_plugins_that_a_program_adds_itself(module):
    plugins = Plugins([], {})
    plugins.manager.register(Finds("by:1"))
    assert plugins.find_server(()) == "by:1"


def test_core_commands_import_no_plugin(module, monkeypatch):
    broken = Plugins(
        [hooks("bad", "a_module_that_does_not_exist")], {"LMSTUDIO_STRICT_PLUGINS": ""}
    )
    monkeypatch.setattr(command, "plugins", broken)
    done = CliRunner().invoke(command.build(), ["ls", "--help"])
    assert done.exit_code == 0
    assert broken._manager is None
    done = CliRunner().invoke(command.build(), ["--help"])
    assert done.exit_code == 0
    assert broken._manager is not None


def test_a_command_that_two_claim_says_so(module, monkeypatch):
    module("acme_a", plugin=Adds("greet", "a"))
    module("acme_b", plugin=Adds("greet", "b"))
    plugins = Plugins([hooks(n, f"acme_{n}:plugin", dist=f"acme-{n}") for n in "ab"], {})
    monkeypatch.setattr(command, "plugins", plugins)
    done = CliRunner().invoke(command.build(), ["greet"])
    assert done.exit_code == 2
    assert "The command 'greet' is claimed by both" in done.output


# -- who has a name --------------------------------------------------------------------------------


def settled(*claims, taken=None):
    """Whose the toolset ``math`` is, why it is nobody's, and who was told of a conflict."""
    settling = Claims("toolset", taken or {})
    for record, value in claims:
        settling.add(record, {"math": value})
    owned, contested = settling.settle()
    told = [record.entry.name for record, _ in claims if record.details]
    return owned.get("math"), contested.get("math"), told


@pytest.fixture
def claimants():
    """Two of the family's and two others."""
    dists = {"llm": "lmstudio-llm", "agent": "lmstudio-agent", "a": "acme-a", "b": "acme-b"}
    return [Record(hooks(n, "no:where", dist=dist), "plugin") for n, dist in dists.items()]


def test_who_alone_claims_a_name_has_it(claimants):
    llm, _, a, _ = claimants
    assert settled((a, 1)) == (1, None, [])
    assert settled((llm, 1)) == (1, None, [])


def test_the_familys_name_is_the_familys_whoever_comes_first(claimants):
    llm, _, a, b = claimants
    assert settled((a, 1), (llm, 2), (b, 3)) == (2, None, ["a", "b"])
    assert a.details == ["The toolset 'math' is that of lmstudio-llm 1.2."]


def test_two_of_the_family_have_a_name_no_more_than_two_others(claimants):
    """Which of them it is must not depend on which was read first."""
    llm, agent, a, _ = claimants
    owned, contested, told = settled((llm, 1), (agent, 2), (a, 3))
    assert (owned, told) == (None, ["llm", "agent", "a"])
    assert "claimed by both a (acme-a) and agent (lmstudio-agent) and llm" in contested


def test_what_is_taken_stays_taken(claimants):
    llm, _, a, _ = claimants
    assert settled((llm, 1), taken={"math": "core's"}) == (None, None, ["llm"])
    assert settled((a, 1), (llm, 2), taken={"math": "core's"}) == (None, None, ["a", "llm"])
    assert a.details == ["The toolset 'math' is core's."]
