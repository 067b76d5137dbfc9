"""What both clients share: finding the server, credentials, namespaces."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from typing_extensions import Self

from .. import discovery
from ..capability import Capability
from ..errors import LMStudioRuntimeError, LMStudioValueError
from ..plugins import plugins
from ..protocol.address import Address, parse_api_host
from ..protocol.auth import PLUGIN_URL_VARIABLE, PLUGIN_VARIABLES, credentials
from ..protocol.operations import Invoke, Op
from ..runner import Observer
from ..tracebacks import Short

__all__ = ["ClientBase", "find_local_host", "find_server", "is_valid", "no_address"]


def ask_plugins(tried: tuple[str, ...]) -> str | None:
    return plugins.find_server(tried)


def find_server() -> Op[Address]:
    return discovery.find_server(os.environ, Path.home(), ask_plugins)


def find_local_host() -> Op[str | None]:
    found = yield from discovery.find_local_server(os.environ, Path.home(), [])
    return None if found is None else str(found)


def is_valid(api_host: str) -> Op[bool]:
    try:
        address = parse_api_host(api_host)
    except LMStudioValueError:
        return False
    answer: bool = yield Invoke(lambda: discovery.answers_greeting(address), blocking=True)
    return answer


def no_address(_refused: Address | None = None) -> Address:
    raise LMStudioRuntimeError("This operation needs no server.")


class ClientBase(Short):
    """What both clients share: where the server is, who they are, and their namespaces."""

    def __init__(
        self,
        api_host: str | None = None,
        api_token: str | None = None,
        client_identifier: str | None = None,
        client_passkey: str | None = None,
    ) -> None:
        # A plugin's credentials are for the server that gave them, not for any other.
        own = {} if api_host is None else dict.fromkeys(PLUGIN_VARIABLES, "")
        environment = {**os.environ, **own}
        self._credentials = credentials(api_token, environment, client_identifier, client_passkey)
        if api_host is None and self._credentials.from_plugin:
            api_host = os.environ.get(PLUGIN_URL_VARIABLE) or None
        self._given = None if api_host is None else parse_api_host(api_host)
        self._found: Address | None = None
        self._namespaces: dict[str, Any] = {}

    def _observer(self) -> Observer | None:
        """Whom the driver tells of finished requests; ``None`` if no plugin listens."""
        hook = plugins.observer_hook()
        if hook is None:
            return None

        def observe(endpoint: str, seconds: float, error: BaseException | None) -> None:
            hook(endpoint=endpoint, seconds=seconds, error=error)

        return observe

    @property
    def _known(self) -> Address | None:
        return self._given or self._found

    def __repr__(self) -> str:
        where = repr(str(self._known)) if self._known else "not connected yet"
        return f"{type(self).__name__}({where})"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *plugins.capability_names()})

    def _namespace(
        self,
        capability: Capability[Any, Any] | str,
        part: Callable[[Capability[Any, Any]], Callable[[], Callable[[Self], Any]]],
    ) -> Any:
        """The namespace of a capability; made on first use, by the ``part`` for this client."""
        name = capability if isinstance(capability, str) else capability.name
        if name not in self._namespaces:
            found = plugins.capability(name) if isinstance(capability, str) else capability
            self._namespaces[name] = plugins.load_part(name, part(found))(self)
        return self._namespaces[name]

    def capability(self, capability: Any) -> Any:
        """The namespace of a capability; the clients say more."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in plugins.capability_names():
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}.{self._like(name)}"
            )
        return self.capability(name)

    def _like(self, name: str) -> str:
        from ..data import nearest  # which is heavy, and for mistakes alone

        like = (
            None if name.startswith("_") else nearest(name, [n for n in dir(self) if n[0] != "_"])
        )
        return f" Did you mean {like!r}?" if like else ""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds connections, so it and what it made (models, say) cannot "
            "be pickled or copied. Make a client in the other process, or use lmstudio.llm() there."
        )
