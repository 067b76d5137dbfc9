"""What both clients share: finding the server, credentials, namespaces."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from typing_extensions import Self

from ..errors import LMStudioRuntimeError, LMStudioValueError
from ..lazy import lazy_names
from ..plugins.capability import Capability
from ..program.places import home_folder
from ..program.tracebacks import Short, caller_line
from ..protocol.address import Address, parse_api_host
from ..protocol.auth import PLUGIN_URL_VARIABLE, PLUGIN_VARIABLES, credentials, credentials_for
from ..protocol.operations import Invoke, Op
from ..protocol.runner import Observer
from .network import Network, SslSetting

if TYPE_CHECKING:
    from ..plugins.registry import Plugins

__all__ = [
    "ClientBase",
    "find_local_host",
    "find_server",
    "has_ended",
    "installed_plugins",
    "is_valid",
    "no_address",
    "preload",
]


# What makes a client must be light: it is imported in the event loop of asyncio programs.
_late, _names = lazy_names(__name__, {"plugins": "lmstudio_core.plugins.registry:plugins"})

if not TYPE_CHECKING:
    __getattr__, __dir__ = _late, _names


def installed_plugins() -> Plugins:
    """The plugins of this process; nothing is looked for before something is asked of them."""
    return cast("Plugins", globals().get("plugins") or _late("plugins"))


def preload() -> None:
    """Import and look for all that the first calls of an asyncio program need."""
    for module in ("protocol.server_errors", "drivers.aio"):  # with pydantic and websockets
        import_module(f"lmstudio_core.{module}")
    installed_plugins().preload()


def ask_plugins(tried: tuple[str, ...]) -> str | None:
    return installed_plugins().find_server(tried)


def find_server() -> Op[Address]:
    """Where the server is, looked for everywhere; see ``discovery``."""
    from . import discovery

    return discovery.find_server(os.environ, home_folder(), ask_plugins)


def has_ended(address: Address) -> bool:
    """Whether the server that was found at an address is known to be gone: its token is for nobody else."""
    return address.found is not None and not address.found.is_alive


def find_local_host() -> Op[str | None]:
    """``host:port`` of an LM Studio that runs on this machine, or ``None``."""
    from . import discovery

    found = yield from discovery.find_local_server(os.environ, home_folder(), [])
    return None if found is None else str(found)


def is_valid(api_host: str) -> Op[bool]:
    """Whether a server answers at ``host:port``."""
    from . import discovery

    try:
        parsed = parse_api_host(api_host)
    except LMStudioValueError:
        return False
    address = Network().to(parsed)
    answer: bool = yield Invoke(lambda: discovery.answers_greeting(address), blocking=True)
    return answer


def no_address(_refused: Address | None = None) -> Address:
    """For drivers whose operations need no server: there is no address."""
    raise LMStudioRuntimeError("This operation needs no server.")


class ClientBase(Short):
    """What both clients share: where the server is, who they are, and their namespaces."""

    _how_to_close: ClassVar[str]

    def __init__(
        self,
        api_host: str | None = None,
        api_token: str | None = None,
        client_identifier: str | None = None,
        client_passkey: str | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: SslSetting = None,
        proxy: str | bool | None = None,
    ) -> None:
        self._made_at = caller_line()
        self._network = Network(headers, ssl, proxy)
        # A plugin's credentials are for the server that gave them, not for any other.
        own = {} if api_host is None else dict.fromkeys(PLUGIN_VARIABLES, "")
        environment = {**os.environ, **own}
        self._credentials = credentials(api_token, environment, client_identifier, client_passkey)
        if api_host is None and self._credentials.from_plugin:
            api_host = os.environ.get(PLUGIN_URL_VARIABLE) or None
        self._given = (
            None if api_host is None else self._network.to(parse_api_host(api_host), written=True)
        )
        self._found: Address | None = None
        self._namespaces: dict[str, Any] = {}

    def _observer(self) -> Observer | None:
        """Whom the driver tells of finished requests; ``None`` if no plugin listens."""
        hook = installed_plugins().observer_hook()
        if hook is None:
            return None

        def observe(endpoint: str, seconds: float, error: BaseException | None) -> None:
            hook(endpoint=endpoint, seconds=seconds, error=error)

        return observe

    @property
    def _known(self) -> Address | None:
        # The client may be half made: this is for its repr, too.
        state = self.__dict__
        known: Address | None = state.get("_given") or state.get("_found")
        return known

    @property
    def api_token(self) -> str | None:
        """The API token that the server is shown, for what reaches it from another process.

        ``None`` for guests and plugins, and (with asyncio) before a server that is looked for was found.
        """
        known = self._known
        shown = self._credentials if known is None else credentials_for(known, self._credentials)
        return f"sk-lm-{shown.identifier}:{shown.passkey}" if shown.from_token else None

    def _forsake(self) -> bool:
        """Close what was left open; whether there was anything. The client may be half made."""
        raise NotImplementedError

    def __del__(self) -> None:
        # When the interpreter ends, the system takes the sockets back; nobody wants to read of it.
        if not sys.is_finalizing() and self._forsake():
            made = self.__dict__.get("_made_at")
            where = f", made at {made}" if made else ""
            advice = f"unclosed {self!r}{where}: use {self._how_to_close}"
            warnings.warn(advice, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        where = repr(str(self._known)) if self._known else "not connected yet"
        return f"{type(self).__name__}({where})"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *installed_plugins().capability_names()})

    def _namespace(
        self,
        capability: Capability[Any, Any] | str,
        part: Callable[[Capability[Any, Any]], Callable[[], Callable[[Self], Any]]],
    ) -> Any:
        """The namespace of a capability; made on first use, by the ``part`` for this client."""
        name = capability if isinstance(capability, str) else capability.name
        if name not in self._namespaces:
            plugins = installed_plugins()
            found = plugins.capability(name) if isinstance(capability, str) else capability
            self._namespaces[name] = plugins.load_part(name, lambda: part(found)()(self))
        return self._namespaces[name]

    def capability(self, capability: Any) -> Any:
        """The namespace of a capability; the clients say more."""
        raise NotImplementedError

    if not TYPE_CHECKING:  # checkers know the family's namespaces, ``capability`` gives others

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name not in installed_plugins().capability_names():
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
