"""Where the options of ``server start`` come from, besides the command line.

click reads the environment variables; what it is told here are the values of a TOML file, which
count where neither the command line nor the environment says anything.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
from click import types
from click.core import ParameterSource

from lmstudio_core.lenient import error_text, is_list
from lmstudio_core.program.places import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CONFIG_VARIABLE",
    "Seconds",
    "Setting",
    "address",
    "config_option",
    "default_config_file",
    "hosts",
    "origins",
    "plugins_of_file",
    "read_config",
    "read_tokens",
    "tokens_of_file",
]

CONFIG_VARIABLE: Final = "LMSTUDIO_SERVER_CONFIG"
_NAME: Final = "lmstudio-server"
_NOT_IN_FILE: Final = frozenset({"config", "daemon", "as_json"})
_FILE_KEY: Final = f"{__name__}.file"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,252}[a-z0-9.])?")
_TOKENS_KEY: Final = f"{__name__}.api_tokens"
_PLUGINS: Final = "plugins"
_PLUGINS_KEY: Final = f"{__name__}.{_PLUGINS}"


class Setting(click.Option):
    """An option that may come from the environment or the file too; errors name where from."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Where the value that is wrong was given."""
        source = None if ctx is None else ctx.get_parameter_source(self.name)
        if ctx is not None and source is ParameterSource.DEFAULT_MAP:
            return f"'{self.opts[0].removeprefix('--')}' in {ctx.meta.get(_FILE_KEY)}"
        if source is ParameterSource.ENVIRONMENT:
            return f"'{self.envvar}'"
        return f"'{self.opts[0]}'"


class Seconds(click.FloatRange):
    """A number of seconds; not "nan" or "inf", which no clock can wait for."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, if it is one."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return seconds


def address(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """An address to listen on (a click callback). An empty one would mean all of them."""
    host = value.strip().removeprefix("[").removesuffix("]")
    if not host:
        raise click.BadParameter("it is empty. 0.0.0.0 means all addresses.", ctx, parameter)
    return host


def default_config_file() -> Path:
    """The file that is read where no other is named; it need not exist."""
    return Path(click.get_app_dir(_NAME)) / "config.toml"


def origins(
    ctx: click.Context, parameter: click.Parameter, value: Sequence[str]
) -> tuple[str, ...]:
    """Origins in the form in which browsers tell them (a click callback)."""
    return tuple(_origin(ctx, parameter, text) for text in value)


def hosts(ctx: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Host names in the form in which requests tell them, without a port (a click callback)."""
    return tuple(_host(ctx, parameter, text) for text in value)


def _host(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    name = text.strip().lower()
    if name != "*" and _HOST_NAME.fullmatch(name) is None:
        raise click.BadParameter(
            f"{text!r} is no host name: give it without scheme and port, such as host.docker.internal; "
            "* means all.",
            ctx,
            parameter,
        )
    return name


def _origin(ctx: click.Context, parameter: click.Parameter, text: str) -> str:
    origin = text.strip().rstrip("/").lower()
    if origin not in ("*", "null") and _ORIGIN.fullmatch(origin) is None:
        raise click.BadParameter(
            f"{text!r} is no origin: give the scheme, the host and, if it has one, the port, such as "
            "https://app.example or http://localhost:3000; * means all.",
            ctx,
            parameter,
        )
    return origin


def config_option(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """Read the configuration file before the other options are (a click callback)."""
    path = value or default_config_file()
    # Unlike Path.is_file, this says no about a home that this user may not look into.
    if value is None and not os.path.isfile(path):  # noqa: PTH113
        return
    given = read_config(path, ctx.command)
    ctx.meta[_FILE_KEY] = path
    # click would forget these where tokens are given on the command line.
    ctx.meta[_TOKENS_KEY] = given.pop("api_tokens", ())
    ctx.meta[_PLUGINS_KEY] = given.pop(_PLUGINS, {})
    ctx.default_map = {**(ctx.default_map or {}), **given}


def tokens_of_file(ctx: click.Context) -> Sequence[str]:
    """The API tokens that the configuration file holds itself."""
    tokens: Sequence[str] = ctx.meta.get(_TOKENS_KEY, ())
    return tokens


def plugins_of_file(ctx: click.Context) -> Mapping[str, Mapping[str, Any]]:
    """The settings of plugins for all chats that the configuration file holds."""
    plugins: Mapping[str, Mapping[str, Any]] = ctx.meta.get(_PLUGINS_KEY, {})
    return plugins


def read_tokens(path: Path) -> list[str]:
    """The API tokens in a file of tokens, one a line.

    Raises:
        click.ClickException: It cannot be read, or holds none: a server that was to ask for tokens
            would let everyone in.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise click.ClickException(f"Cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{path} is no text file with API tokens.") from error
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise click.ClickException(
            f"{path} holds no API token. Write one into it, or start without --api-token-file."
        )
    return tokens


def read_config(path: Path, command: click.Command) -> dict[str, Any]:
    """The options that a file sets, by the names of the command's parameters.

    Raises:
        click.ClickException: It cannot be read, or has keys that are no options.
    """
    from . import toml

    try:
        content: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(f"Cannot read {path}: {error.strerror or error}") from error
    except (toml.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} is not valid TOML: {error_text(error)}") from error
    plugins = _plugins(content.pop(_PLUGINS, {}), path)
    names = _names(command)
    unknown = next((key for key in content if key not in names), None)
    if unknown is not None:
        raise click.ClickException(_unknown(path, unknown, names))
    given = {names[key]: _relative(value, path, names[key]) for key, value in content.items()}
    options = {name: _checked(command, name, value, path) for name, value in given.items()}
    return {**options, _PLUGINS: plugins} if plugins else options


def _plugins(given: Any, path: Path) -> dict[str, dict[str, Any]]:
    """``[plugins."owner/name"]`` tables: settings of plugins for all chats, key to value."""
    tables: dict[str, Any] = {_PLUGINS: None}
    if isinstance(given, dict):
        tables = cast("dict[str, Any]", given)
    for name, settings in tables.items():
        if not isinstance(settings, dict) or name.count("/") != 1:
            raise click.ClickException(
                f'{path}: "{_PLUGINS}" has a table for each plugin: [plugins."owner/name"], not '
                f'"{name}".'
            )
    return dict(tables)


def _names(command: click.Command) -> dict[str, str]:
    """The keys of the file: the options as they are typed, without the dashes in front."""
    return {
        name.removeprefix("--"): option.name
        for option in command.params
        if isinstance(option, click.Option) and option.name
        for name in option.opts
        if name.startswith("--") and option.name not in _NOT_IN_FILE
    }


def _unknown(path: Path, key: str, names: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(key.replace("_", "-"), names, n=1, cutoff=0.5)
    hint = f' Did you mean "{near[0]}"?' if near else f" Known are: {', '.join(sorted(names))}."
    return f'{path}: "{key}" is no option.{hint}'


def _relative(value: Any, path: Path, name: str) -> Any:
    """Folders and files are meant from where the file is."""
    if name not in ("models", "api_token_file", "tls_cert", "tls_key"):
        return value
    if is_list(value):
        return [_relative(item, path, name) for item in value]
    return str(path.parent / expanded(value)) if isinstance(value, str) else value


def _checked(command: click.Command, name: str, value: Any, path: Path) -> Any:
    """A value that click can convert: a list where the option is repeatable, else one value."""
    option = next(option for option in command.params if option.name == name)
    key = option.opts[0].removeprefix("--")
    if isinstance(value, dict):
        raise click.ClickException(f'{path}: "{key}" has to be a value, not a table.')
    if is_list(value) and not option.multiple:
        raise click.ClickException(f'{path}: "{key}" has to be one value, not a list.')
    values = value if is_list(value) else [value]
    if isinstance(option.type, types.BoolParamType):
        if not isinstance(value, bool):
            raise click.ClickException(f'{path}: "{key}" has to be true or false.')
        return value
    # click makes a text or a number of nearly everything; 5 is no host, and true is no number.
    numeric = isinstance(option.type, (click.IntRange, click.FloatRange))
    for each in values:
        if isinstance(each, bool) or not isinstance(each, (int, float, str) if numeric else str):
            wanted = "a number" if numeric else "a text"
            raise click.ClickException(f'{path}: "{key}" has to be {wanted}.')
    return values if option.multiple else value
