"""What ``lmstudio doctor`` looks at. No check uses plugins but the last, which may hang."""

from __future__ import annotations

import os
import platform
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from lmstudio_core import __version__
from lmstudio_core.client.discovery import API_HOST_VARIABLE, answers_greeting, find_local_server
from lmstudio_core.client.network import Network
from lmstudio_core.drivers.sync import SyncDriver
from lmstudio_core.errors import (
    LMStudioAuthenticationError,
    LMStudioError,
    LMStudioRuntimeError,
    LMStudioValueError,
)
from lmstudio_core.lenient import as_mapping
from lmstudio_core.plugins.health import Finding
from lmstudio_core.plugins.installed import (
    FAMILY,
    how_to_install,
    leftovers,
    version_of_distribution,
)
from lmstudio_core.plugins.registry import plugins
from lmstudio_core.plugins.state import PROBLEMS, PluginState
from lmstudio_core.program.places import home_folder
from lmstudio_core.protocol.address import Address, parse_api_host
from lmstudio_core.protocol.auth import TOKEN_VARIABLES, Credentials, credentials
from lmstudio_core.protocol.operations import Call, Endpoint, Op
from lmstudio_core.timeouts import Limits

from .common import plugins_print_aside

__all__ = ["Check", "all_checks"]

Check = Callable[[], Iterable[Finding]]
"""Something to look at; its name is the topic if it cannot be."""

PATIENCE: Final = 20.0
"""Seconds after which plugins are taken to hang."""

_SERVER_PATIENCE: Final = 5.0


def all_checks(host: str | None, api_token: str | None) -> list[Any]:
    """Every check, in the order in which they are made."""

    def server() -> Iterator[Finding]:
        return _server(host, api_token)

    def token() -> Iterator[Finding]:
        return _token(api_token)

    return [_python, _packages, token, server, _plugins]


def _python() -> Iterator[Finding]:
    text = f"{platform.python_version()} ({sys.executable}), {platform.platform(terse=True)}"
    yield Finding("Python", "ok", text)


def _packages() -> Iterator[Finding]:
    versions = {name: version_of_distribution(name) for name in FAMILY}
    found = {name: version for name, version in versions.items() if version is not None}
    if not found:
        yield Finding(
            "packages", "warning", f"lmstudio-core {__version__}, which runs from its source"
        )
        return
    wrong = {name: version for name, version in found.items() if version != __version__}
    shown = ", ".join(name for name in found if name not in wrong)
    for name, version in wrong.items():
        yield Finding(
            "packages",
            "problem",
            f"{name} is of version {version}, and lmstudio-core of {__version__}",
            how_to_install(*found),
        )
    if shown:
        yield Finding("packages", "ok", f"version {__version__} of {shown}")
    for folder in leftovers():
        text = f"{folder} was left behind by an installer; nothing goes by it"
        yield Finding("packages", "warning", text, "Delete that folder.")


def _token(api_token: str | None) -> Iterator[Finding]:
    try:
        who = credentials(api_token, os.environ)
    except LMStudioValueError as error:
        yield Finding("token", "problem", str(error))
        return
    set_in = [name for name in TOKEN_VARIABLES if os.environ.get(name)]
    if who.from_plugin:
        yield Finding("token", "ok", "that of a plugin, from LM Studio")
    elif not who.from_token:
        yield Finding("token", "ok", "none is set; servers that ask for one will refuse")
    elif api_token is None and len({os.environ[name].strip() for name in set_in}) > 1:
        yield Finding(
            "token",
            "warning",
            f"{' and '.join(set_in)} hold different tokens; {set_in[0]} is used",
            f"Unset {set_in[1]}.",
        )
    else:
        yield Finding("token", "ok", f"from {'--api-token' if api_token else set_in[0]}")


# -- the server ------------------------------------------------------------------------------------


def _server(host: str | None, api_token: str | None) -> Iterator[Finding]:
    source = "--host" if host else API_HOST_VARIABLE
    named = host or os.environ.get(API_HOST_VARIABLE)
    if not named:
        yield from _local_server(api_token)
        return
    try:
        address = Network().to(parse_api_host(named), written=True)
    except LMStudioValueError as error:
        yield Finding("server", "problem", f"{source}: {error}")
        return
    if answers_greeting(address):
        yield _talk(address, api_token)
        return
    advice = f"Start LM Studio's server there, or change {source}."
    yield Finding("server", "problem", f"no LM Studio answers at {address} ({source})", advice)


def _local_server(api_token: str | None) -> Iterator[Finding]:
    tried: list[str] = []
    address = _run(find_local_server(os.environ, home_folder(), tried))
    if address is not None:
        yield _talk(Network().to(address), api_token)
        return
    text = f"no LM Studio runs on this machine\nTried: {', '.join(tried)}"
    if version_of_distribution("lmstudio-server") is not None:
        yield Finding("server", "ok", f"{text}\nThe bundled server is used instead; see below.")
        return
    yield Finding(
        "server",
        "problem",
        text,
        "Start LM Studio and its local server (Developer page), or name one: "
        f"{API_HOST_VARIABLE}=host:port,\nor install the family's own: {how_to_install('lmstudio-server')}",
    )


def _talk(address: Address, api_token: str | None) -> Finding:
    """Whether a server that answers lets this client in."""
    try:
        who = credentials(api_token, os.environ)
    except LMStudioValueError:  # said already
        who = credentials(None, {})
    call: Call[Any] = Call(Endpoint("system", "version"), decode=as_mapping)
    try:
        version = _run(_once(call), address, who)
    except LMStudioAuthenticationError as error:
        advice = f"Give it a token that it knows: --api-token, or {TOKEN_VARIABLES[0]}."
        return Finding("server", "problem", f"{address} refuses this client: {error}", advice)
    except LMStudioError as error:
        return Finding("server", "problem", f"{address} answers, but not as it should: {error}")
    return Finding("server", "ok", f"version {version.get('version', 'unknown')} at {address}")


def _once(call: Call[Any]) -> Op[Any]:
    return (yield call)


def _run(op: Op[Any], address: Address | None = None, who: Credentials | None = None) -> Any:
    """Run an operation without a client, which would load the plugins."""

    def where(_: Address | None = None) -> Address:
        if address is None:
            raise LMStudioRuntimeError("This operation needs no server.")
        return address

    driver = SyncDriver(where, who or credentials(None, {}), None)
    try:
        return driver.run(op, Limits(timeout=_SERVER_PATIENCE) if address else None)
    finally:
        driver.close()


# -- plugins ---------------------------------------------------------------------------------------


def _plugins() -> Iterator[Finding]:
    """Whether plugins work, and what they say of what they need."""
    health: list[Finding] = []
    looks = (plugins.states, lambda: plugins.health(health))
    with plugins_print_aside():
        all_came_back = all(_within(look) is not None for look in looks)
    busy = plugins.busy or "a plugin"
    # What is known is said even if one plugin hangs; what health found since may have changed it.
    yield from list(health)
    states = plugins.states_so_far()
    if all_came_back:
        works = sum(state.state in ("ok", "slow") for state in states)
        off = [state.name for state in states if state.state == "disabled"]
        turned_off = f"; turned off: {', '.join(off)}" if off else ""
        yield Finding("plugins", "ok", f"{works} of {len(states)} work{turned_off}")
    else:
        text = f"{busy} has not come back after {PATIENCE:g} s; the rest was not looked at"
        advice = "Uninstall it, or turn it off: LMSTUDIO_DISABLE_PLUGINS=its-name"
        yield Finding("plugins", "problem", text, advice)
    for state in states:
        if state.detail:
            yield _of_plugin(state)


def _of_plugin(state: PluginState) -> Finding:
    who = f"{state.name} of {state.distribution} {state.version}".strip()
    if state.state not in PROBLEMS:
        return Finding("plugin", "warning", f"{who}: {state.detail}")
    # By its distribution, if that has a name: another plugin may have the same, and work.
    listed = state.name if state.distribution.startswith("(") else state.distribution
    turn_off = f"turn it off: LMSTUDIO_DISABLE_PLUGINS={listed}"
    upgrade = "" if state.state == "conflict" else "upgrade or "
    advice = f"{upgrade}uninstall {listed}, or {turn_off}"
    return Finding("plugin", "problem", f"{who}: {state.detail}", advice[:1].upper() + advice[1:])


def _within(function: Callable[[], Any]) -> Any:
    """What the function returns, or ``None`` if that takes too long: it goes on in its thread."""
    results: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

    def run() -> None:
        try:
            results.put((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            results.put((None, error))

    threading.Thread(target=run, name="lmstudio-doctor", daemon=True).start()
    try:
        value, error = results.get(timeout=PATIENCE)
    except queue.Empty:
        return None
    if error is not None:
        raise error
    return value
