"""``lmstudio doctor``: what is wrong, where, and what to do."""

from __future__ import annotations

import json
import sys
import threading
import types

import pytest
from click.testing import CliRunner
from importlib_metadata import EntryPoint

from lmstudio_cli import checks
from lmstudio_cli.command import build
from lmstudio_core import __version__
from lmstudio_core.plugins.health import Finding
from lmstudio_core.plugins.hookspecs import PLUGIN_GROUP, hookimpl
from lmstudio_core.plugins.installed import how_to_install
from lmstudio_core.plugins.registry import Plugins
from lmstudio_testing import refuse

TOKEN = "sk-lm-abcdefgh:12345678901234567890"
NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def install(monkeypatch):
    """Replaces what is installed, at first by nothing."""

    def replace(**modules):
        entries = []
        for name, contents in modules.items():
            module = types.ModuleType(f"acme_{name}")
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, module.__name__, module)
            entries.append(EntryPoint(name, module.__name__, PLUGIN_GROUP))
        made = Plugins(entries, {})
        monkeypatch.setattr(checks, "plugins", made)
        return made

    replace()
    return replace


def doctor(*arguments):
    done = CliRunner().invoke(build(), ["doctor", *arguments])
    assert done.exit_code in (0, 1), done.output
    return done


def findings(*arguments):
    done = doctor(*arguments, "--json")
    report = json.loads(done.output)
    assert report["ok"] == (done.exit_code == 0)
    found = {}
    for finding in report["findings"]:
        found.setdefault(finding["topic"], []).append(finding)
    return found


def test_all_is_well(server):
    server.on("system.version", {"version": "0.4.1"})
    done = doctor("--host", server.api_host)
    assert done.exit_code == 0
    assert f"version 0.4.1 at {server.api_host}" in done.output
    assert f"version {__version__} of lmstudio" in done.output
    assert done.output.splitlines()[-1] == "Everything works."
    assert server.open_sockets == () or server.wait_until_closed() is None


def test_nobody_answers_at_the_host_that_is_named(monkeypatch):
    (finding,) = findings("--host", NOWHERE)["server"]
    assert (finding["state"], NOWHERE in finding["text"]) == ("problem", True)
    monkeypatch.setenv("LMSTUDIO_API_HOST", NOWHERE)
    done = doctor()
    assert done.exit_code == 1
    assert f"no LM Studio answers at {NOWHERE} (LMSTUDIO_API_HOST)" in done.output
    assert "-> Start LM Studio's server there, or change LMSTUDIO_API_HOST." in done.output
    assert done.output.splitlines()[-1] == "1 problem."


def test_a_host_that_is_none():
    (finding,) = findings("--host", "not a host")["server"]
    assert finding["state"] == "problem"
    assert finding["text"].startswith("--host: ")


@pytest.mark.parametrize("bundled", ["2.0.0", None])
def test_no_server_on_this_machine(monkeypatch, tmp_path, bundled):
    # A server file that names no port: nothing else is looked at.
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(tmp_path / "none.json"))
    real = checks.version_of_distribution
    monkeypatch.setattr(
        checks,
        "version_of_distribution",
        lambda name: bundled if name == "lmstudio-server" else real(name),
    )
    (finding,) = findings()["server"]
    assert "Tried: the file" in finding["text"]
    assert finding["state"] == ("ok" if bundled else "problem")
    assert bool(bundled) != (how_to_install("lmstudio-server") in finding["advice"])


def test_a_server_on_this_machine(monkeypatch, tmp_path, server):
    server.on("system.version", {"version": "0.4.1"})
    file = tmp_path / "http-server.json"
    file.write_text(json.dumps({"port": server.port}))
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(file))
    assert findings()["server"][0]["text"] == f"version 0.4.1 at 127.0.0.1:{server.port}"


def test_a_server_that_refuses_and_one_that_makes_no_sense(server):
    (finding,) = findings("--host", server.api_host)["server"]
    assert "answers, but not as it should" in finding["text"]
    server.auth = refuse("who are you?")
    (finding,) = findings("--host", server.api_host)["server"]
    assert "refuses this client" in finding["text"]
    assert "--api-token, or LM_API_TOKEN" in finding["advice"]


def test_tokens(monkeypatch):
    assert "none is set" in findings("--host", NOWHERE)["token"][0]["text"]
    monkeypatch.setenv("LMSTUDIO_API_TOKEN", TOKEN)
    assert findings("--host", NOWHERE)["token"][0]["text"] == "from LMSTUDIO_API_TOKEN"
    monkeypatch.setenv("LM_API_TOKEN", TOKEN.replace("a", "b"))
    (finding,) = findings("--host", NOWHERE)["token"]
    assert finding["state"] == "warning"
    assert "LM_API_TOKEN is used" in finding["text"]
    monkeypatch.setenv("LM_API_TOKEN", "secret-nonsense")
    done = doctor("--host", NOWHERE)
    assert "The API token in LM_API_TOKEN does not look like one" in done.output
    assert "secret-nonsense" not in done.output
    assert TOKEN not in done.output
    # The server is looked at nevertheless.
    assert NOWHERE in done.output


def test_packages_of_different_versions(monkeypatch):
    installed = {"lmstudio": "1.5.0", "lmstudio-core": __version__}
    monkeypatch.setattr(checks, "version_of_distribution", installed.get)
    wrong, right = findings("--host", NOWHERE)["packages"]
    assert wrong["state"] == "problem"
    assert "lmstudio is of version 1.5.0, and lmstudio-core of" in wrong["text"]
    assert wrong["advice"] == how_to_install("lmstudio", "lmstudio-core")
    assert right["text"] == f"version {__version__} of lmstudio-core"


def test_what_an_installer_left_behind_is_named(tmp_path, monkeypatch):
    left = tmp_path / "~mstudio_llm-1.9.0.dist-info"
    left.mkdir()
    (left / "METADATA").write_text("Metadata-Version: 2.1\nName: lmstudio-llm\nVersion: 1.9.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = findings("--host", NOWHERE)["packages"]
    (named,) = [one for one in found if str(left) in one["text"]]
    assert (named["state"], named["advice"]) == ("warning", "Delete that folder.")


def test_plugins_that_are_broken(install, caplog):
    install(
        good={"lmstudio_register_commands": hookimpl(lambda: None)},
        bad={"lmstudio_find_servers": hookimpl(lambda: None)},
    )
    done = doctor("--host", NOWHERE)
    assert "1 of 2 work" in done.output
    assert "did you mean 'lmstudio_find_server'" in done.output
    assert "LMSTUDIO_DISABLE_PLUGINS=bad" in done.output
    assert done.output.splitlines()[-1] == "2 problems."
    assert caplog.text == ""


def test_what_plugins_look_at_themselves(install, caplog):
    wrong = Finding("engine", "warning", "it is loud\nvery", "Oil it.")

    @hookimpl
    def raises():
        raise ZeroDivisionError

    install(
        engine={"lmstudio_check_health": hookimpl(lambda: [wrong])},
        broken={"lmstudio_check_health": raises},
        nonsense={"lmstudio_check_health": hookimpl(lambda: 7)},
    )
    done = doctor("--host", NOWHERE)
    assert "!!  engine       it is loud\n                 very\n              -> Oil it." in (
        done.output
    )
    assert "1 of 3 work" in done.output
    assert "It failed in lmstudio_check_health: ZeroDivisionError" in done.output
    assert "It failed in lmstudio_check_health: TypeError" in done.output
    assert caplog.text == ""


def test_a_plugin_that_hangs_does_not_hang_the_doctor(install, monkeypatch):
    leave = threading.Event()
    monkeypatch.setattr(checks, "PATIENCE", 0.3)
    install(stuck={"lmstudio_register_commands": hookimpl(lambda: leave.wait(60) and None)})
    try:
        (finding,) = findings("--host", NOWHERE)["plugins"]
    finally:
        leave.set()
    assert finding["state"] == "problem"
    assert "lmstudio_register_commands of stuck" in finding["text"]
    assert "LMSTUDIO_DISABLE_PLUGINS" in finding["advice"]


def test_a_plugin_that_hangs_hides_nothing_else(install, monkeypatch):
    leave = threading.Event()
    monkeypatch.setattr(checks, "PATIENCE", 0.3)
    seen = Finding("engine", "warning", "it is loud")
    install(
        stuck={"lmstudio_check_health": hookimpl(lambda: leave.wait(60) and None)},
        engine={"lmstudio_check_health": hookimpl(lambda: [seen])},
        bad={"lmstudio_find_servers": hookimpl(lambda: None)},
    )
    try:
        found = findings("--host", NOWHERE)
    finally:
        leave.set()
    (hangs,) = found["plugins"]
    assert "lmstudio_check_health of stuck" in hangs["text"]
    assert [finding["text"] for finding in found["engine"]] == ["it is loud"]
    assert "did you mean 'lmstudio_find_server'" in found["plugin"][0]["text"]


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def fails(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(checks, "parse_api_host", fails)
    (finding,) = findings("--host", NOWHERE)["server"]
    assert finding["text"] == "this could not be looked at: ZeroDivisionError: oops"
