"""Under which names a server answers, whom it trusts for being near, and who may use it from afar."""

from __future__ import annotations

import json
import ssl
import urllib.request
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from http_client import HERE, get
from websockets.asyncio.client import connect
from wire_client import Client, Refused, fake_server, run

import lmstudio_core as lms
from lmstudio_server import config as config_module
from lmstudio_server.cli import server as command
from lmstudio_server.config import ServerConfig
from lmstudio_server.serving.http import refusal
from lmstudio_server.testing import running_server

if TYPE_CHECKING:
    from pathlib import Path

trustme = pytest.importorskip("trustme")

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
NAME = "host.docker.internal"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_names_that_are_allowed(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module.socket, "gethostname", lambda: "Mine.lan")
    plain = ServerConfig(host=host)
    told = refusal(plain, [f"{NAME}:1234"], [])
    assert told is not None
    assert f"--allow-host {NAME}" in told
    assert "\n" not in (refusal(plain, ["a\nforged"], []) or "")
    assert refusal(plain, ["localhost:1", "127.0.0.1"], []) is None
    for allowed in ((NAME,), ("*",)):
        config = ServerConfig(host=host, allowed_hosts=allowed)
        assert refusal(config, [f"{NAME.upper()}:1234"], []) is None
    beyond = host != "127.0.0.1"
    for own in ("mine.lan", "MINE", "mine.local:80", "192.168.0.7:1234", "[fe80::1]:80"):
        assert (refusal(plain, [own], []) is None) is beyond, own


def test_every_door_looks_at_the_name() -> None:
    async def test() -> None:
        async with fake_server(host="0.0.0.0", insecure=True) as server:
            for path in ("/", "/lms-status", "/lmstudio-greeting", "/v1/models", "/status.json"):
                assert (await get(server, path, host="evil.example")).status == 403, path
                assert (await get(server, path)).status == 200, path

    run(test)


@pytest.mark.parametrize(
    ("headers", "trust_local", "trusted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"X-Forwarded-For": "203.0.113.9"}, True, False),
        ({"Forwarded": "for=203.0.113.9"}, True, False),
        ({"Via": "1.1 proxy"}, True, False),
    ],
)
def test_behind_a_proxy_nobody_is_near(
    headers: dict[str, str], trust_local: bool, trusted: bool
) -> None:
    trusted = trusted and HERE == "127.0.0.1"  # nor is who comes from beyond

    async def test() -> None:
        async with fake_server(trust_local=trust_local) as server:
            url = f"ws://{server.host}/system"
            async with connect(url, proxy=None, additional_headers=headers) as socket:
                one = Client(socket, "system")
                await one.send(authVersion=1, clientIdentifier="guest:a", clientPasskey="b")
                assert await one.receive() == {"success": True}
                if trusted:
                    await one.call("requestShutdown")
                else:
                    with pytest.raises(Refused, match="may not"):
                        await one.call("requestShutdown")
            assert server.services.shutdown.is_set() is trusted

    run(test)


def test_no_server_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    for arguments in (["--host", "0.0.0.0"], ["--host", "::"]):
        done = CliRunner().invoke(command, ["start", *arguments, "--port", "0"])
        assert done.exit_code == 1
        assert "--insecure" in done.output
        assert "--api-token" in done.output


def test_a_token_is_made_once(tmp_path: Path) -> None:
    state = tmp_path / "kept"
    state.mkdir()
    shown: list[str] = []
    token = ""
    for _ in range(2):
        # As the image does it: by variables alone, on all addresses, with a folder that is kept.
        variables = {
            "LMSTUDIO_SERVER_MAKE_TOKEN": "1",
            "LMSTUDIO_SERVER_HOST": "0.0.0.0",
        }
        with running_server(environment=variables, state=state) as server:
            shown.append(server.log.read_text())
            token = (state / "api-token").read_text().strip()
            with lms.Client(server.host, token) as client:
                assert client.system.version()
            with lms.Client(server.host) as stranger, pytest.raises(lms.LMStudioError):
                stranger.system.version()
    assert token in shown[0]
    assert token not in shown[1]


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with running_server(*files) as server:
        assert server.host == f"https://127.0.0.1:{server.port}"
        with lms.Client(server.host, ssl=str(tmp_path / "ca.pem")) as client:
            assert client.system.version()
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(f"{server.host}/v1/models", context=context) as answer:
            assert json.load(answer)["object"] == "list"
        monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(server.state_dir))
        done = CliRunner().invoke(command, ["status", "--json"])
        assert json.loads(done.stdout)["servers"][0]["address"] == server.host
        assert CliRunner().invoke(command, ["stop"]).exit_code == 0


def test_certificates_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    none = tmp_path / "none.pem"
    none.write_text("nothing")
    done = CliRunner().invoke(command, ["start", "--port", "0", "--tls-cert", str(none)])
    assert done.exit_code == 1
    assert "--tls-cert is a file in PEM form" in done.output
    done = CliRunner().invoke(command, ["start", "--port", "0", "--tls-key", str(none)])
    assert "--tls-key goes with --tls-cert" in done.output


def test_the_same_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'allow-host = ["{NAME}"]\ntrust-local = false\ninsecure = true\n')
    with running_server("--config", str(file)) as server:
        request = urllib.request.Request(f"http://{server.host}/lms-status", headers={"Host": NAME})
        assert urllib.request.urlopen(request).status == 200
    file.write_text("insecure = 1\n")
    done = CliRunner().invoke(command, ["start", "--config", str(file)])
    assert "true or false" in done.output
    done = CliRunner().invoke(command, ["start", "--allow-host", "http://a.example"])
    assert "is no host name" in done.output
