"""Who may use a server: the options of ``server start`` that say so, and its tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lmstudio_core.lenient import error_text

from .config import is_loopback
from .daemon.paths import state_dir
from .options import Setting, hosts, read_tokens, tokens_of_file

__all__ = ["TOKENS_VARIABLE", "access_options", "refuse_open", "tokens_of"]

TOKENS_VARIABLE: Final = "LMSTUDIO_SERVER_API_TOKENS"

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--allow-host",
        "allowed_hosts",
        cls=Setting,
        multiple=True,
        callback=hosts,
        envvar="LMSTUDIO_SERVER_ALLOW_HOST",
        show_envvar=True,
        help="Name under which clients may ask, besides this machine's own (repeatable).",
    ),
    click.option(
        "--insecure",
        cls=Setting,
        is_flag=True,
        envvar="LMSTUDIO_SERVER_INSECURE",
        show_envvar=True,
        help="Let other machines in although no token is asked for.",
    ),
    click.option(
        "--make-token",
        cls=Setting,
        is_flag=True,
        envvar="LMSTUDIO_SERVER_MAKE_TOKEN",
        show_envvar=True,
        help="Without a token, make one at the first start, show it, and keep it for the next.",
    ),
    click.option(
        "--trust-local",
        cls=Setting,
        type=bool,
        default=True,
        show_default=True,
        envvar="LMSTUDIO_SERVER_TRUST_LOCAL",
        show_envvar=True,
        help="Whether programs on this machine may end it and read its log; not behind a proxy.",
    ),
    click.option(
        "--tls-cert",
        cls=Setting,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="LMSTUDIO_SERVER_TLS_CERT",
        show_envvar=True,
        help="Speak TLS with this certificate (PEM; its chain after it).",
    ),
    click.option(
        "--tls-key",
        cls=Setting,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="LMSTUDIO_SERVER_TLS_KEY",
        show_envvar=True,
        help="The certificate's key, if it is in a file of its own.",
    ),
)


def access_options(command: F) -> F:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def tokens_of(given: Sequence[str], file: Path | None, *, make: bool) -> tuple[str, ...]:
    """The API tokens of all places; where there is none and it is to be so, one that is made and kept.

    Args:
        given: The tokens of the command line and the environment.
        file: A file with one token a line; ``None`` for none.
        make: Whether to make one where there is none.
    """
    from .wire.auth import parse_token

    tokens = [*given, *tokens_of_file(click.get_current_context())]
    tokens += os.environ.get(TOKENS_VARIABLE, "").replace(",", " ").split()
    if file is not None:
        tokens += read_tokens(file)
    try:
        for token in tokens:
            parse_token(token)
    except ValueError as error:
        raise click.ClickException(error_text(error)) from error
    return tuple(tokens) or ((_kept_token(),) if make else ())


def refuse_open(host: str, tokens: tuple[str, ...], insecure: bool) -> None:
    """Start no server that everybody can use, unless that is meant.

    Args:
        host: The address to listen on.
        tokens: The API tokens.
        insecure: Whether everybody is to be let in.
    """
    if not is_loopback(host) and not tokens and not insecure:
        raise click.ClickException(
            f"Everyone who can reach {host} could use this server, read its log and end it. Give it a "
            "token (--api-token, --api-token-file, or --make-token to have one made), or start it with "
            "--insecure if that is meant."
        )


def _kept_token() -> str:
    """The token that an earlier start has made, or a new one, which is shown once."""
    path = state_dir() / "api-token"
    from .owned import open_own
    from .wire.auth import new_token

    if path.exists():
        return read_tokens(path)[0]
    token = new_token()
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w") as file:
        file.write(f"{token}\n")
    click.echo(f"Made an API token for this server, kept in {path}:\n{token}", err=True)
    return token
