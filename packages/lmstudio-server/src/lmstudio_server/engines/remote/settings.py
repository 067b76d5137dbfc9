"""Which remote servers there are: from a TOML file, from the environment, or both."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from lmstudio_core.lenient import error_text, is_list, is_mapping
from lmstudio_core.program.places import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FILE_VARIABLE",
    "Dialect",
    "RemoteModel",
    "RemoteServer",
    "RemoteSettingsError",
    "configured_servers",
]

FILE_VARIABLE = "LMSTUDIO_REMOTES"
"""Names the TOML file."""
URL_VARIABLE = "LMSTUDIO_REMOTE_URL"
KEY_VARIABLE = "LMSTUDIO_REMOTE_API_KEY"
MODELS_VARIABLE = "LMSTUDIO_REMOTE_MODELS"

DEFAULT_TIMEOUT = 300.0

Dialect = Literal["auto", "llama.cpp", "vllm", "openai"]
_DIALECTS = ("auto", "llama.cpp", "vllm", "openai")
_KINDS = ("llm", "embedding")
_KEY = re.compile(r"[!-~]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class RemoteSettingsError(ValueError):
    """The settings of a remote server are wrong; the message says where and how. No secret is in it."""


@dataclass(frozen=True)
class RemoteModel:
    """What is known of one model beforehand; the rest the server is asked."""

    name: str
    kind: Literal["llm", "embedding"] | None = None
    context_length: int | None = None
    vision: bool = False
    tools: bool = True


@dataclass(frozen=True)
class RemoteServer:
    """One server that speaks OpenAI's API.

    Attributes:
        name: What it is called here; the first part of its models' paths.
        base_url: Up to and including ``/v1``.
        api_key: Sent as a bearer token; never shown.
        models: The models to list. ``None``: all that it lists itself.
        timeout: Seconds of silence after which a request has failed.
        dialect: What it understands beyond OpenAI's API.
    """

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    models: tuple[RemoteModel, ...] | None = None
    timeout: float = DEFAULT_TIMEOUT
    dialect: Dialect = "auto"

    def known(self, model: str) -> RemoteModel:
        """What the settings say of a model."""
        found = (known for known in self.models or () if known.name == model)
        return next(found, RemoteModel(model))


def configured_servers(environment: Mapping[str, str] | None = None) -> list[RemoteServer]:
    """The remote servers that the environment names, and those in the file it names.

    Raises:
        RemoteSettingsError: A setting is wrong.
    """
    environment = os.environ if environment is None else environment
    servers: list[RemoteServer] = []
    url = environment.get(URL_VARIABLE, "").strip()
    if url:
        settings: dict[str, Any] = {
            "name": "remote",
            "base_url": url,
            "api_key": environment.get(KEY_VARIABLE) or None,
            "models": _models_in(environment.get(MODELS_VARIABLE, "")),
        }
        servers.append(_server(settings, URL_VARIABLE, environment))
    file = environment.get(FILE_VARIABLE, "").strip()
    if file:
        servers += _in_file(expanded(file), environment)
    names = [server.name for server in servers]
    for name in names:
        if names.count(name) > 1:
            raise RemoteSettingsError(f"Two remote servers are called {name!r}: rename one.")
    return servers


def _models_in(text: str) -> list[dict[str, Any]] | None:
    """Read ``"name, other=32768"``: models with or without a context length."""
    models: list[dict[str, Any]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, length = part.partition("=")
        if equals and not length.isdigit():
            raise RemoteSettingsError(f"{MODELS_VARIABLE}: {part!r} is not name=contextLength.")
        models.append({"name": name, "context_length": int(length) if equals else None})
    return models or None


def _in_file(path: Path, environment: Mapping[str, str]) -> list[RemoteServer]:
    from lmstudio_server import toml

    try:
        content: dict[str, Any] = toml.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RemoteSettingsError(
            f"{path} ({FILE_VARIABLE}) cannot be read: {error_text(error)}"
        ) from error
    except toml.TOMLDecodeError as error:
        # Without its cause: a traceback would show the line, and with it perhaps a key.
        raise RemoteSettingsError(f"{path} is no valid TOML: {error_text(error)}") from None
    remotes = content.get("remote", [])
    if not is_list(remotes):
        raise RemoteSettingsError(f"{path}: servers are written as [[remote]], with two brackets.")
    return [
        _server(settings, f"{path}, remote {number}", environment)
        for number, settings in enumerate(remotes, start=1)
    ]


def _server(settings: Any, where: str, environment: Mapping[str, str]) -> RemoteServer:
    fields = _Fields(settings, where)
    key = fields.text("api_key")
    variable = fields.text("api_key_env")
    if variable is not None:
        key = environment.get(variable) or None
        if key is None:
            raise RemoteSettingsError(f"{where}: api_key_env names {variable}, which is not set.")
    key = None if key is None else key.strip()  # files often end with a line break
    if key and not _KEY.fullmatch(key):
        raise RemoteSettingsError(f"{where}: the API key has characters that no header can hold.")
    models = fields.take("models")
    if models is not None and not is_list(models):
        raise RemoteSettingsError(f"{where}: models have to be a list.")
    server = RemoteServer(
        name=_name(fields),
        base_url=_base_url(fields),
        api_key=key or None,
        models=None if not models else tuple(_model(m, where) for m in models),
        timeout=fields.number("timeout") or DEFAULT_TIMEOUT,
        dialect=cast("Dialect", fields.choice("dialect", _DIALECTS) or "auto"),
    )
    fields.end()
    return server


def _model(settings: Any, where: str) -> RemoteModel:
    if isinstance(settings, str):
        settings = {"name": settings}
    fields = _Fields(settings, f"{where}, models")
    name = fields.text("name")
    if not name:
        raise RemoteSettingsError(f"{where}: a model needs its name.")
    length = fields.number("context_length")
    model = RemoteModel(
        name=name,
        kind=cast("Any", fields.choice("kind", _KINDS)),
        context_length=None if length is None else int(length),
        vision=fields.flag("vision", default=False),
        tools=fields.flag("tools", default=True),
    )
    fields.end()
    return model


def _name(fields: _Fields) -> str:
    name = fields.text("name")
    if name is None or not _NAME.fullmatch(name):
        raise RemoteSettingsError(
            f"{fields.where}: name has to be of letters, digits, '.', '-' and '_'."
        )
    return name


def _base_url(fields: _Fields) -> str:
    url = (fields.text("base_url") or "").rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
        parts = urlsplit("")
    if not valid or parts.query or parts.fragment:
        raise RemoteSettingsError(
            f"{fields.where}: base_url has to be like http://host:8000/v1, without a query."
        )
    if parts.username is not None or parts.password is not None:
        raise RemoteSettingsError(
            f"{fields.where}: base_url must not hold a user or password; use api_key or api_key_env."
        )
    return url if parts.path else f"{url}/v1"


class _Fields:
    """The fields of one table, each taken once; what is left at the end is a mistake."""

    def __init__(self, settings: Any, where: str) -> None:
        if not is_mapping(settings):
            raise RemoteSettingsError(f"{where}: expected a table of settings.")
        self._left = dict(settings)
        self.where = where

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(name, "a text")

    def number(self, name: str) -> float | None:
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise self._wrong(name, "a number above 0")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        raise self._wrong(name, "true or false")

    def choice(self, name: str, values: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is None or value in values:
            return value
        raise self._wrong(name, f"one of {', '.join(values)}")

    def end(self) -> None:
        if self._left:
            raise RemoteSettingsError(f"{self.where}: unknown setting {', '.join(self._left)}.")

    def _wrong(self, name: str, expected: str) -> RemoteSettingsError:
        return RemoteSettingsError(f"{self.where}: {name} has to be {expected}.")
