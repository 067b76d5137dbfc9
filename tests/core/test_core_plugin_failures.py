"""Whatever a plugin raises, of whatever class, is its own failure and nobody else's."""

from __future__ import annotations

import asyncio
import sys
import threading
import types

import click
import pytest
from importlib_metadata import EntryPoint

import lmstudio_core
from lmstudio_cli import checks, command
from lmstudio_cli import plugins as plugins_command
from lmstudio_core import errors, timeouts
from lmstudio_core.client import Client
from lmstudio_core.client import base as client_base
from lmstudio_core.lenient import error_text, is_interrupt
from lmstudio_core.manage import models
from lmstudio_core.plugins import exports
from lmstudio_core.plugins.capability import CAPABILITY_GROUP, Capability
from lmstudio_core.plugins.hookspecs import PLUGIN_GROUP, hookimpl
from lmstudio_core.plugins.registry import Plugins
from waiting import PATIENCE


class PanicException(BaseException):
    """As pyo3's, whose base is no ``Exception`` either."""


class BaseExceptionGroup(BaseException):
    def __init__(self, message, exceptions):
        super().__init__(message)
        self.exceptions = exceptions


class Unspeakable(BaseException):
    def __str__(self):
        raise PanicException("no words")


OWN = [
    ZeroDivisionError("zero"),
    PanicException("index out of bounds"),
    BaseExceptionGroup("two things", [PanicException("a"), SystemExit(1)]),
    asyncio.CancelledError("its own loop"),
    pytest.skip.Exception("no module named torch"),
    SystemExit(3),
    GeneratorExit(),
    Unspeakable(),
]
USERS = [KeyboardInterrupt(), BaseExceptionGroup("a nursery", [ValueError(), KeyboardInterrupt()])]
own = pytest.mark.parametrize("error", OWN, ids=lambda error: type(error).__name__)


@pytest.fixture
def bad(monkeypatch):
    """Adds a module whose use raises: by import, as hooks, and as whatever is named."""

    def make(name, error, **contents):
        made = types.ModuleType(name)
        vars(made).update(contents)

        def fail(*_arguments, **_named):
            raise error

        made.fail = fail
        if not contents:
            made.__getattr__ = fail
        monkeypatch.setitem(sys.modules, name, made)
        return fail

    return make


def entry(name, value, group=PLUGIN_GROUP):
    return EntryPoint(name, value, group)


def test_an_interrupt_is_the_users():
    assert not any(map(is_interrupt, OWN))
    assert all(map(is_interrupt, USERS))
    assert error_text(Unspeakable()) == "Unspeakable"


@own
def test_what_an_import_raises(bad, caplog, error):
    bad("acme_bad", error)
    plugins = Plugins(
        [
            entry("toys", "acme_bad:CAP", CAPABILITY_GROUP),
            entry("hooks", "acme_bad:plugin"),
            entry("engine", "acme_bad:Engine", "lmstudio.engines"),
        ],
        {},
    )
    assert plugins.find_server(()) is None
    assert plugins.load_each("lmstudio.engines", lambda _, made: made) == []
    assert [r.args[0] for r in caplog.records] == ["hooks", "engine"]  # a line for each
    with pytest.raises(errors.PluginLoadError, match="could not be loaded") as caught:
        plugins.capability("toys")
    assert caught.value.__cause__ is error
    plugins.preload()
    assert {s.state for s in plugins.states()} == {"failed"}


@own
def test_what_a_hook_raises(bad, caplog, error):
    def fail(**_named):
        raise error

    hooks = {
        "lmstudio_find_server": lambda tried: fail(),
        "lmstudio_register_commands": lambda cli: fail(),
        "lmstudio_register_toolsets": lambda register: fail(),
        "lmstudio_offer_models": lambda: fail(),
        "lmstudio_check_health": lambda: fail(),
        "lmstudio_request_finished": lambda: fail(),
    }
    bad("acme_bad", error, **{name: hookimpl(function) for name, function in hooks.items()})
    plugins = Plugins([entry("bad", "acme_bad")], {})
    plugins.find_server(())
    plugins.commands()
    plugins.toolsets()
    plugins.offers()
    plugins.health()
    plugins.observer_hook()(endpoint="llm.x", seconds=1.0, error=None)
    (state,) = plugins.states()
    assert state.state == "failed"
    assert all(name in state.detail for name in hooks)
    assert error_text(error, named=True) in state.detail


@own
def test_what_a_capability_raises(bad, monkeypatch, error):
    bad("acme_bad", error)
    path = "acme_bad:Anything"
    toys = Capability("toys", "acme_toys:fail", path, {"Toy": path}, model_kind=path)
    bad("acme_toys", error, CAP=toys)
    plugins = Plugins([entry("toys", "acme_toys:CAP", CAPABILITY_GROUP)], {})
    monkeypatch.setattr(client_base, "plugins", plugins)
    monkeypatch.setattr("lmstudio_core.plugins.registry.plugins", plugins)
    monkeypatch.setattr(models, "plugins", plugins)
    with pytest.raises(errors.PluginLoadError, match="'toys'"):  # it cannot be made
        Client("127.0.0.1:9").capability("toys")
    with pytest.raises(errors.PluginLoadError, match="'toys'"):
        exports._of_capability("lmstudio_core", "Toy", lmstudio_core._ELSEWHERE)
    with pytest.raises(errors.PluginLoadError, match="'toys'"):
        models._kind("toys")
    assert plugins.states()[0].state == "failed"


@pytest.mark.parametrize("error", USERS, ids=["alone", "in a group"])
def test_ctrl_c_passes(bad, error):
    bad("acme_bad", error)
    points = [entry("toys", "acme_bad:CAP", CAPABILITY_GROUP), entry("hooks", "acme_bad:plugin")]
    for use in (
        lambda p: p.hook,
        lambda p: p.capability("toys"),
        lambda p: p.states(),
        lambda p: p.load_part("toys", lambda: p.manager),
        lambda p: p.load_each(PLUGIN_GROUP, lambda _, made: made),
    ):
        with pytest.raises(type(error)) as caught:
            use(Plugins(points, {}))
        assert caught.value is error
    bad(
        "acme_hook",
        error,
        lmstudio_find_server=hookimpl(lambda tried: sys.modules["acme_hook"].fail()),
    )
    with pytest.raises(type(error)):
        Plugins([entry("hook", "acme_hook")], {}).find_server(())


WAITS = """
import threading
import holder

thread = threading.Thread(target=holder.use)
thread.start()
thread.join()
"""


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """A plugin that waits at its import for a thread; ``use`` is what the thread does."""
    (tmp_path / "acme_waits.py").write_text(WAITS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(timeouts, "LOCK_PATIENCE", 0.01)
    timeouts.set_sync_api_timeout(0.05)
    raised = []

    def make(use):
        def used():
            try:
                use()
            except Exception as error:
                raised.append(error)

        monkeypatch.setitem(sys.modules, "holder", types.SimpleNamespace(use=used))
        monkeypatch.delitem(sys.modules, "acme_waits", raising=False)
        return Plugins([entry("waits", "acme_waits")], {}), raised

    return make


def test_a_plugin_that_waits_for_a_thread_that_uses_the_sdk(waiting, caplog):
    plugins, raised = waiting(lambda: plugins.commands())
    assert plugins.find_server(()) is None
    (error,) = raised
    assert isinstance(error, errors.LMStudioTimeoutError)
    assert error.seconds == 0.05
    assert "the import of waits" in str(error)
    assert "waiting for the import of waits" in caplog.text


def test_a_plugin_that_waits_for_the_default_client(waiting, monkeypatch, server, caplog):
    plugins, raised = waiting(lambda: lmstudio_core.get_default_client())
    monkeypatch.setattr("lmstudio_core.plugins.registry.plugins", plugins)
    monkeypatch.setattr(client_base, "plugins", plugins)
    client = lmstudio_core.get_default_client(server.api_host)
    assert client.api_host == server.api_host
    assert [type(error) for error in raised] == [errors.LMStudioTimeoutError]
    assert "waiting for the import of waits" in caplog.text


def test_a_wait_for_plugins_may_be_long(waiting, monkeypatch):
    """Without limits, the thread gets its turn when the plugin is there."""
    timeouts.set_sync_api_timeout(None)
    told = threading.Event()
    started = []

    def use():
        thread = threading.Thread(target=lambda: started.append(plugins.commands()))
        thread.start()
        monkeypatch.setattr(timeouts.logger, "warning", lambda *_: told.set())
        assert told.wait(PATIENCE)
        started.append(thread)

    plugins, raised = waiting(use)
    assert plugins.find_server(()) is None
    thread = started[0]
    thread.join(PATIENCE)
    assert started == [thread, ({}, {})]
    assert raised == []


@own
@pytest.mark.parametrize("arguments", [["plugins"], ["doctor"], ["--help"], ["greet"]])
def test_no_command_ends_with_a_plugin(bad, monkeypatch, capsys, server, error, arguments):
    bad("acme_bad", error)
    fail = bad("acme_greets", error, on=True)

    @hookimpl
    def register(cli):
        cli.add_command(click.Command("greet", callback=fail))

    sys.modules["acme_greets"].lmstudio_register_commands = register
    found = [entry("bad", "acme_bad"), entry("greets", "acme_greets")]
    plugins = Plugins(found, {})
    for place in (command, checks, plugins_command):
        monkeypatch.setattr(place, "plugins", plugins)
    with pytest.raises(SystemExit) as ended:
        command.end_with(command.build(), arguments, "lmstudio")
    err = capsys.readouterr().err
    if arguments == ["greet"] and not isinstance(error, SystemExit):
        assert err.startswith(f"Error: {error_text(error, named=True)}\n")
    assert ended.value.code == {
        "--help": 0,
        "greet": 3 if isinstance(error, SystemExit) else 1,
    }.get(arguments[0], 1)
    assert "Traceback" not in err
