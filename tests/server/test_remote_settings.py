"""Settings of remote servers: read from the environment and a file; mistakes named, secrets kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from lmstudio_server.engines.remote import RemoteEngine, RemoteModel, RemoteServer
from lmstudio_server.engines.remote.settings import RemoteSettingsError, configured_servers

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-secret-123"


def test_nothing_configured_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_servers({}) == []
    for name in ("LMSTUDIO_REMOTES", "LMSTUDIO_REMOTE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert list(RemoteEngine().offered()) == []


def test_one_server_from_the_environment() -> None:
    (server,) = configured_servers(
        {
            "LMSTUDIO_REMOTE_URL": "http://10.0.0.5:8000/",
            "LMSTUDIO_REMOTE_API_KEY": f"{KEY}\n",
            "LMSTUDIO_REMOTE_MODELS": "Org/Big=32768, small",
        }
    )
    assert server == RemoteServer(
        "remote",
        "http://10.0.0.5:8000/v1",
        KEY,
        (RemoteModel("Org/Big", context_length=32768), RemoteModel("small")),
    )
    assert KEY not in repr(server)


def test_several_servers_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "remotes.toml"
    file.write_text(
        """
        [[remote]]
        name = "cluster"
        base_url = "https://llm.example/api/v1"
        api_key_env = "CLUSTER_KEY"
        timeout = 900
        dialect = "vllm"
        models = ["plain", { name = "Org/V", context_length = 8192, vision = true, tools = false }]

        [[remote]]
        name = "desk"
        base_url = "http://127.0.0.1:8080/v1"
        """
    )
    cluster, desk = configured_servers({"LMSTUDIO_REMOTES": str(file), "CLUSTER_KEY": KEY})
    assert (cluster.api_key, cluster.timeout, cluster.dialect) == (KEY, 900, "vllm")
    assert cluster.known("Org/V") == RemoteModel("Org/V", None, 8192, vision=True, tools=False)
    assert (desk.models, desk.api_key) == (None, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "x"', r"base_url has to be like"),
        ('name = "x"\nbase_url = "ftp://h/v1"', r"base_url has to be like"),
        ('name = "x"\nbase_url = "http://h:99999999/v1"', r"base_url has to be like"),
        (f'name = "x"\nbase_url = "http://me:{KEY}@h/v1"', r"must not hold a user or password"),
        ('base_url = "http://h"', r"name has to be of letters"),
        ('name = "a/b"\nbase_url = "http://h"', r"name has to be of letters"),
        ('name = "x"\nbase_url = "http://h"\ntimeout = -1', r"timeout has to be a number above 0"),
        (
            'name = "x"\nbase_url = "http://h"\ndialect = "x"',
            r"one of auto, llama.cpp, vllm, openai",
        ),
        ('name = "x"\nbase_url = "http://h"\nbaseurl = "y"', r"unknown setting baseurl"),
        ('name = "x"\nbase_url = "http://h"\napi_key_env = "NO_KEY"', r"NO_KEY, which is not set"),
        ('name = "x"\nbase_url = "http://h"\nmodels = "a"', r"models have to be a list"),
        ('name = "x"\nbase_url = "http://h"\nmodels = [{kind = "llm"}]', r"needs its name"),
        (f'name = "x"\nbase_url = "http://h"\napi_key = "{KEY}', r"no valid TOML"),
        (f'name = "x"\nbase_url = "http://h"\napi_key = "{KEY} é"', r"no header can hold"),
    ],
)
def test_mistakes_say_where_and_how(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "remotes.toml"
    file.write_text(f"[[remote]]\n{text}\n")
    with pytest.raises(RemoteSettingsError, match=says) as caught:
        configured_servers({"LMSTUDIO_REMOTES": str(file)})
    assert str(file) in str(caught.value)
    assert KEY not in str(caught.value)


def test_wrong_settings_leave_the_other_engines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LMSTUDIO_REMOTES", str(tmp_path / "missing.toml"))
    with caplog.at_level(logging.ERROR):
        assert RemoteEngine().servers == {}
    assert "missing.toml" in caplog.text


def test_a_missing_library_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nowhere(name: str) -> None:
        assert name == "httpx2"

    monkeypatch.setattr("lmstudio_server.engines.remote.engine.find_spec", nowhere)
    assert RemoteEngine([RemoteServer("x", "http://h/v1")]).servers == {}
    assert 'pip install "httpx2' in caplog.text


def test_two_servers_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('[[remote]]\nname = "remote"\nbase_url = "http://h"\n')
    environment = {"LMSTUDIO_REMOTES": str(file), "LMSTUDIO_REMOTE_URL": "http://h"}
    with pytest.raises(RemoteSettingsError, match="Two remote servers are called 'remote'"):
        configured_servers(environment)
