"""Where the options of ``server start`` come from, and which of two counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from lmstudio_server import cli, options
from lmstudio_server.daemon.run import config_of

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_server.daemon.spawn import Settings


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What would have been started."""
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(options, "default_config_file", lambda: tmp_path / "default.toml")
    found: list[Settings] = []

    def run(settings: Settings, _as_json: bool) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(cli, "_run_in_foreground", run)
    return found


def start(*arguments: str, **environment: str) -> Result:
    given: dict[str, Any] = {f"LMSTUDIO_SERVER_{k}": v for k, v in environment.items()}
    return CliRunner().invoke(cli.server, ["start", *arguments], env=given)


def test_the_command_line_goes_before_the_environment_before_the_file(
    started: list[Settings], tmp_path: Path
) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 3\njit-ttl = 5\nlog-level = "debug"\nallow-origin = ["http://a"]\n')
    assert start("--config", str(file), "--port", "1", JIT_TTL="2").exit_code == 0
    [settings] = started
    assert (settings.port, settings.jit_ttl, settings.log_level) == (1, 2, "debug")
    assert settings.allowed_origins == ("http://a",)
    assert start(CONFIG=str(file), PORT="2").exit_code == 0
    assert (started[-1].port, started[-1].jit_ttl) == (2, 5)


def test_the_default_file_is_read_if_it_is_there(started: list[Settings], tmp_path: Path) -> None:
    assert start().exit_code == 0
    assert started[-1].port == 1234
    (tmp_path / "default.toml").write_text("port = 7\n")
    assert start().exit_code == 0
    assert started[-1].port == 7


def test_a_default_file_out_of_reach_is_none(
    started: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "default_config_file", lambda: tmp_path / ("x" * 300))
    assert start().exit_code == 0
    assert len(started) == 1


def test_every_option_has_a_variable_and_a_key(started: list[Settings], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "tokens").write_text("# ours\nsk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST\n")
    values: dict[str, Any] = {
        "host": "localhost",
        "port": 5,
        "api-token-file": "tokens",
        "models": ["models"],
        "allow-origin": ["http://a", "http://b"],
        "idle-timeout": 60,
        "jit-ttl": 0,
        "jit-models": 2,
        "shutdown-grace": 3,
        "log-level": "error",
    }
    file = tmp_path / "server.toml"
    file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    assert start("--config", str(file)).output == ""
    variables = {
        key.upper().replace("-", "_"): " ".join(value) if isinstance(value, list) else str(value)
        for key, value in values.items()
    }
    variables["MODELS"] = str(tmp_path / "models")
    variables["API_TOKEN_FILE"] = str(tmp_path / "tokens")
    assert start(**variables).output == ""
    assert started[0] == started[1]
    assert started[0].models == (str(tmp_path / "models"),)
    assert started[0].allowed_origins == ("http://a", "http://b")
    assert started[0].jit_ttl is None
    assert started[0].jit_models == 2
    assert config_of(started[0], is_daemon=False).jit_models == 2
    assert len(started[0].api_tokens) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("prot = 5", 'Did you mean "port"?'),
        ("shutdown_grace = 5", 'Did you mean "shutdown-grace"?'),
        ("zzz = 1", "Known are: allow-host"),
        ("daemon = true", "no option"),
        ("port = [1]", "one value"),
        ("[port]\nx = 1", "table"),
        ('port = "many"', "'port' in "),
        ("port = 70000", "70000"),
        ("jit-ttl = true", "has to be a number"),
        ("shutdown-grace = nan", "'shutdown-grace' in "),
        ("idle-timeout = inf", "not a finite number"),
        ("host = 5", "has to be a text"),
        ('host = ""', "0.0.0.0 means all addresses"),
        ("models = [1]", "has to be a text"),
        ('models = "/nowhere"', "/nowhere"),
        ("port =", "not valid TOML"),
        ('api-token = "secret"', "does not have the form"),
    ],
)
def test_mistakes_in_the_file(
    started: list[Settings], tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(content)
    result = start("--config", str(file))
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    # Long lines are wrapped.
    assert words in " ".join(result.output.split())
    assert "secret" not in result.output
    assert "LMSTUDIO_SERVER_" not in result.output
    assert not started


def test_a_mistake_is_said_to_be_where_it_was_made(started: list[Settings]) -> None:
    assert "'LMSTUDIO_SERVER_PORT'" in start(PORT="many").output
    assert "'--port'" in start("--port", "many", PORT="1").output
    assert "'--host'" in start("--host", " ").output
    assert not started


def test_an_address_may_stand_in_brackets(started: list[Settings]) -> None:
    assert start("--host", "[::1]").exit_code == 0
    assert started[0].host == "::1"


def test_origins_are_taken_as_browsers_tell_them(started: list[Settings]) -> None:
    given = ("https://App.example/", "http://localhost:3000", "*", "null")
    assert start(*(f"--allow-origin={origin}" for origin in given)).exit_code == 0
    known = ("https://app.example", "http://localhost:3000", "*", "null")
    assert started[0].allowed_origins == known
    for wrong in ("app.example", "https://app.example/page", "https://", "localhost:3000"):
        result = start("--allow-origin", wrong)
        assert result.exit_code == 2
        assert "is no origin" in " ".join(result.output.split())
    assert len(started) == 1


TOKENS = tuple(f"sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRS{i}" for i in range(4))


def test_tokens_of_all_places_count_together(started: list[Settings], tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"# ours\n\n {TOKENS[0]} \n")
    file = tmp_path / "server.toml"
    file.write_text(f'api-token = "{TOKENS[1]}"\napi-token-file = "tokens"\n')
    given = ("--config", str(file), "--api-token", TOKENS[2])
    assert start(*given, API_TOKENS=TOKENS[3]).output == ""
    assert set(started[0].api_tokens) == set(TOKENS)


@pytest.mark.parametrize(("content", "words"), [(b"# none\n", "no API token"), (b"\xff", "text")])
def test_a_file_without_tokens_opens_no_server(
    started: list[Settings], tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "tokens").write_bytes(content)
    result = start("--api-token-file", str(tmp_path / "tokens"))
    assert result.exit_code == 1
    assert words in result.output
    assert not started


def test_a_file_that_is_not_there(started: list[Settings]) -> None:
    result = start("--config", "/nowhere.toml")
    assert result.exit_code == 2
    assert not started
