"""Plugins from made-up entry points: what is broken harms only itself, and says what it is."""

from __future__ import annotations

import logging
import sys
import types

import pluggy
import pytest
from importlib_metadata import EntryPoint

from lmstudio_core import errors
from lmstudio_core.capability import CAPABILITY_GROUP, Capability
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.client import base as client_base
from lmstudio_core.hookspecs import PLUGIN_GROUP, hookimpl
from lmstudio_core.plugins import Plugins


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
    [("llm", "pip install lmstudio-llm"), ("toys", "Installed: other")],
)
def test_a_missing_capability_says_what_to_do(name, message):
    plugins = Plugins([entry("other", "x:y")], {})
    with pytest.raises(errors.CapabilityNotInstalledError, match=message) as caught:
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
        Plugins([entry("toys", "acme_toys:CAP")], {}).capability("toys")


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


def test_exports_of_the_facade(module):
    module("acme_toys", CAP=capability(exports={"Toy": "acme_toys:Toy"}), Toy=int)
    plugins = Plugins([entry("broken", "nowhere:CAP"), entry("toys", "acme_toys:CAP")], {})
    assert plugins.find_export("Toy") == "acme_toys:Toy"
    assert plugins.find_export("Nothing") is None


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
    with pytest.raises(errors.PluginLoadError, match="could not be used"):
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
    assert {s.state for s in states} == {"ok"}, states
