"""Where the options of ``server start`` come from, besides the command line.

click reads the environment variables; what it is told here are the values of a TOML file, which
count where neither the command line nor the environment says anything.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .kv.stack import is_list

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIG_VARIABLE", "config_option", "default_config_file", "read_config"]

CONFIG_VARIABLE: Final = "LMSTUDIO_SERVER_CONFIG"
_NAME: Final = "lmstudio-server"
_NOT_IN_FILE: Final = frozenset({"config", "daemon", "as_json"})


def default_config_file() -> Path:
    """The file that is read where no other is named; it need not exist."""
    return Path(click.get_app_dir(_NAME)) / "config.toml"


def config_option(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """Read the configuration file before the other options are (a click callback)."""
    path = value or default_config_file()
    # Unlike Path.is_file, this says no about a home that this user may not look into.
    if value is None and not os.path.isfile(path):  # noqa: PTH113
        return
    ctx.default_map = {**(ctx.default_map or {}), **read_config(path, ctx.command)}


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
        raise click.ClickException(f"{path} is not valid TOML: {error}") from error
    names = _names(command)
    unknown = next((key for key in content if key not in names), None)
    if unknown is not None:
        raise click.ClickException(_unknown(path, unknown, names))
    given = {names[key]: _relative(value, path, names[key]) for key, value in content.items()}
    return {name: _checked(command, name, value, path) for name, value in given.items()}


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
    if name not in ("models", "api_token_file"):
        return value
    if is_list(value):
        return [_relative(item, path, name) for item in value]
    return str(path.parent / os.path.expanduser(value)) if isinstance(value, str) else value  # noqa: PTH111


def _checked(command: click.Command, name: str, value: Any, path: Path) -> Any:
    """A value that click can convert: a list where the option is repeatable, else one value."""
    option = next(option for option in command.params if option.name == name)
    key = name.replace("_", "-")
    if isinstance(value, dict):
        raise click.ClickException(f'{path}: "{key}" has to be a value, not a table.')
    if option.multiple is isinstance(value, list):
        return value
    if option.multiple:
        return [value]
    raise click.ClickException(f'{path}: "{key}" has to be one value, not a list.')
