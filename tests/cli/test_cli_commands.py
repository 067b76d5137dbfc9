"""The ``lmstudio`` command: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from importlib_metadata import EntryPoint

from lmstudio_cli import checks, command, plugins
from lmstudio_core import __version__, errors
from lmstudio_core.client import base as client_base
from lmstudio_core.plugins.hookspecs import PLUGIN_GROUP, hookimpl
from lmstudio_core.plugins.installed import how_to_install
from lmstudio_core.plugins.registry import Plugins


@pytest.fixture
def install(monkeypatch):
    """Replaces what is installed."""

    def replace(*entries, environment=None):
        made = Plugins(entries, environment or {})
        monkeypatch.setattr(command, "plugins", made)
        monkeypatch.setattr(plugins, "plugins", made)
        return made

    return replace


def run(*args):
    return CliRunner().invoke(command.build(), args)


def ends(capsys, *args):
    """Exit code and output of the real entry point."""
    with pytest.raises(SystemExit) as caught:
        command.run(list(args))
    out = capsys.readouterr()
    return caught.value.code, out.out, out.err


def broken(name="toys", group="lmstudio.capabilities"):
    return EntryPoint(name, "a_module_that_does_not_exist:CAP", group)


def test_plugins_as_a_table():
    done = run("plugins")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "DISTRIBUTION", "VERSION", "STATE"]
    assert ["models", "capability", "lmstudio-core", __version__, "ok"] in [
        x.split() for x in lines
    ]


def test_plugins_as_json():
    done = run("plugins", "--json")
    states = json.loads(done.output)
    fields = {"name", "kind", "distribution", "version", "state", "detail", "seconds", "value"}
    assert set(states[0]) == fields


def test_a_broken_plugin_is_listed_and_is_an_error(install, capsys):
    install(broken())
    code, out, _ = ends(capsys, "plugins")
    assert code == 1
    assert "failed" in out
    assert "No module named 'a_module_that_does_not_exist'" in out


def noisy(tmp_path, monkeypatch):
    (tmp_path / "acme_noisy.py").write_text(
        "from lmstudio_core.plugins.api import hookimpl\n"
        "print('noise')\n"
        "@hookimpl\n"
        "def lmstudio_check_health():\n"
        "    print('noise')\n"
        "    return []\n"
        "@hookimpl\n"
        "def lmstudio_request_finished():\n"
        "    print('noise')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_noisy", raising=False)
    return EntryPoint("noisy", "acme_noisy", PLUGIN_GROUP)


@pytest.mark.parametrize("asked", ["plugins", "doctor", "version", "nonsense"])
def test_what_plugins_print_is_not_the_commands_output(
    install, capsys, monkeypatch, tmp_path, server, asked
):
    system = "lmstudio_core.manage.system:CAPABILITY"
    made = install(
        EntryPoint("system", system, "lmstudio.capabilities"), noisy(tmp_path, monkeypatch)
    )
    monkeypatch.setattr(checks, "plugins", made)
    monkeypatch.setattr(client_base, "plugins", made)
    server.on("system.version", {"version": "0.4.0", "build": 7})
    monkeypatch.setenv("LMSTUDIO_API_HOST", server.api_host)
    _, out, err = ends(capsys, asked, "--json")
    assert "noise" not in out
    assert "noise" in err
    assert asked == "nonsense" or json.loads(out), err


def test_a_disabled_plugin_is_no_error(install, capsys):
    install(broken(), environment={"LMSTUDIO_DISABLE_PLUGINS": "toys"})
    code, out, _ = ends(capsys, "plugins", "--json")
    assert code == 0
    assert json.loads(out)[0]["state"] == "disabled"


def test_nothing_installed(install):
    install()
    done = run("plugins")
    assert done.exit_code == 0
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "package"),
    [("chat", "lmstudio-llm"), ("complete", "lmstudio-llm"), ("similar", "lmstudio-embed")],
)
def test_a_command_of_a_missing_package_names_it(install, capsys, name, package):
    install()
    code, _, err = ends(capsys, name)
    assert code == 2
    assert how_to_install(package) in err


def test_an_unknown_command(install, capsys):
    install()
    code, _, err = ends(capsys, "nonsense")
    assert code == 2
    assert "nonsense" in err


def test_no_command_shows_the_help(install, capsys):
    install()
    code, out, err = ends(capsys)
    assert code in (0, 2)  # click changed its mind in 8.2
    assert "plugins" in out + err


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(install, capsys, option):
    install()
    code, out, _ = ends(capsys, option)
    assert code == 0
    assert "Usage: lmstudio" in out


def test_version(install, capsys):
    install()
    assert ends(capsys, "--version") == (0, f"lmstudio, version {__version__}\n", "")


def with_command(install, monkeypatch, function):
    module = type(sys)("acme_commands")

    @hookimpl
    def lmstudio_register_commands(cli):
        cli.add_command(click.Command("toys", callback=function))

    module.lmstudio_register_commands = lmstudio_register_commands
    monkeypatch.setitem(sys.modules, "acme_commands", module)
    install(EntryPoint("acme", "acme_commands", PLUGIN_GROUP))


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (errors.LMStudioConnectionError("no server"), 3, "Error: no server\n"),
        (errors.LMStudioValueError("bad"), 2, "Error: bad\n"),
        (OSError(28, "No space left on device"), 1, "Error: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (click.UsageError("wrong"), 2, "wrong"),
        (click.exceptions.Exit(4), 4, ""),
    ],
)
def test_exit_codes(install, monkeypatch, capsys, outcome, code, said):
    def function():
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome()

    with_command(install, monkeypatch, function)
    ended, _, err = ends(capsys, "toys")
    assert ended == code
    assert said.strip() in err


def test_a_plugin_that_fails_to_register_leaves_the_others(install, monkeypatch, capsys, caplog):
    with_command(install, monkeypatch, lambda: None)
    good = command.plugins._given

    @hookimpl
    def lmstudio_register_commands(cli):
        raise ZeroDivisionError

    bad = type(sys)("acme_bad")
    bad.lmstudio_register_commands = lmstudio_register_commands
    monkeypatch.setitem(sys.modules, "acme_bad", bad)
    install(EntryPoint("bad", "acme_bad", PLUGIN_GROUP), *good)
    code, _, _ = ends(capsys, "toys")
    assert code == 0
    assert "acme" in caplog.text or "bad" in caplog.text


def test_the_installed_command():
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from lmstudio_cli import main; main()",
            "plugins",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "models" in done.stdout
    assert done.stderr == ""
