"""``Client`` and ``AsyncClient``: everything a program does with a server starts here."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from typing_extensions import Self, Unpack

from . import discovery
from .capability import Capability
from .drivers.aio import AsyncChannelStream, AsyncDriver
from .drivers.batches import AsyncBatchStream, SyncBatchStream
from .drivers.sync import SyncChannelStream, SyncDriver
from .errors import LMStudioRuntimeError, LMStudioValueError
from .plugins import plugins
from .protocol.address import Address, parse_api_host
from .protocol.auth import credentials
from .protocol.operations import Batch, Call, Channel, Invoke, InvokeMany, Op
from .runner import Observer
from .timeouts import CallLimits, get_sync_api_timeout, limits_of

if TYPE_CHECKING:
    from lmstudio_agent import AgentNamespace, AsyncAgentNamespace
    from lmstudio_embed import (
        AsyncEmbeddingNamespace,
        EmbeddingNamespace,
    )
    from lmstudio_llm import AsyncLLMNamespace, LLMNamespace

    from .files import FileHandle, LocalFileInput
    from .namespaces.diagnostics import AsyncDiagnosticsNamespace, DiagnosticsNamespace
    from .namespaces.files import AsyncFilesNamespace, FilesNamespace
    from .namespaces.models import AsyncModelsNamespace, ModelsNamespace
    from .namespaces.plugins import AsyncPluginsNamespace, PluginsNamespace
    from .namespaces.repository import AsyncRepositoryNamespace, RepositoryNamespace
    from .namespaces.runtime import AsyncRuntimeNamespace, RuntimeNamespace
    from .namespaces.system import AsyncSystemNamespace, SystemNamespace

__all__ = ["AsyncClient", "Client"]

logger = logging.getLogger("lmstudio")

R = TypeVar("R")
E = TypeVar("E")
S = TypeVar("S")
A = TypeVar("A")


def _ask_plugins(tried: tuple[str, ...]) -> str | None:
    return plugins.find_server(tried)


def _find_server() -> Op[Address]:
    return discovery.find_server(os.environ, Path.home(), _ask_plugins)


def _find_local_host() -> Op[str | None]:
    found = yield from discovery.find_local_server(os.environ, Path.home(), [])
    return None if found is None else str(found)


def _is_valid(api_host: str) -> Op[bool]:
    try:
        address = parse_api_host(api_host)
    except LMStudioValueError:
        return False
    answer: bool = yield Invoke(lambda: discovery.answers_greeting(address), blocking=True)
    return answer


class ClientBase:
    """What both clients share: where the server is, who they are, and their namespaces."""

    def __init__(self, api_host: str | None = None, api_token: str | None = None) -> None:
        self._given = None if api_host is None else parse_api_host(api_host)
        self._found: Address | None = None
        self._credentials = credentials(api_token, os.environ)
        self._namespaces: dict[str, Any] = {}

    def _observer(self) -> Observer | None:
        """Whom the driver tells of finished requests; ``None`` if no plugin listens."""
        hook = plugins.observer_hook()
        if hook is None:
            return None

        def observe(endpoint: str, seconds: float, error: BaseException | None) -> None:
            try:
                hook(endpoint=endpoint, seconds=seconds, error=error)
            except Exception:
                logger.exception("an observer plugin raised")

        return observe

    @property
    def _known(self) -> Address | None:
        return self._given or self._found

    def __repr__(self) -> str:
        where = repr(str(self._known)) if self._known else "not connected yet"
        return f"{type(self).__name__}({where})"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *plugins.capability_names()})

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds connections, so it and what it made (models, say) cannot "
            "be pickled or copied. Make a client in the other process, or use lmstudio.llm() there."
        )


class Client(ClientBase):
    """A connection to an LM Studio server, for synchronous programs.

    Sockets open when they are first needed. Use it in a ``with`` statement, or call ``close()``.
    It may be used from several threads at once.

    Args:
        api_host: ``"host:port"`` of the server. Without it, a local one is looked for: by the
            environment variable ``LMSTUDIO_API_HOST``, by the file that LM Studio writes, on its
            local ports; and if ``lmstudio-server`` is installed it is started.
        api_token: The server's API token; by default that of ``LM_API_TOKEN`` or
            ``LMSTUDIO_API_TOKEN``.

    Raises:
        LMStudioValueError: The host or the token is not of the form of one.

    Example:
        >>> with Client() as client:
        ...     model = client.llm.model("pocket")
        ...     print(model.respond("What is the capital of France?"))
        The capital of France is Paris.
    """

    def __init__(self, api_host: str | None = None, api_token: str | None = None) -> None:
        super().__init__(api_host, api_token)
        self._driver = SyncDriver(self._resolve, self._credentials, self._observer())

    def _resolve(self, refused: Address | None = None) -> Address:
        """Where the server is; one that was found and then ``refused`` is looked for anew."""
        known = self._known
        if known is None or (known == refused and self._given is None):
            known = self._found = self._driver.run(_find_server())
        return known

    @property
    def api_host(self) -> str:
        """``"host:port"`` of the server; looked for now if it is not known yet."""
        return str(self._resolve())

    def __enter__(self) -> Self:
        self._resolve()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every socket. Calls that wait get an error, and so do later ones."""
        self._driver.close()

    @classmethod
    def is_valid_api_host(cls, api_host: str) -> bool:
        """Whether an LM Studio server answers at ``api_host`` (``"host:port"``)."""
        return bool(_run_alone(_is_valid(api_host)))

    @classmethod
    def find_default_local_api_host(cls) -> str | None:
        """``"host:port"`` of the LM Studio running on this machine, or ``None``. Starts nothing."""
        host: str | None = _run_alone(_find_local_host())
        return host

    # -- operations ------------------------------------------------------------------------------

    @overload
    def run(self, operation: Call[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    def run(self, operation: Channel[Any, R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    def run(self, operation: Batch[R], **limits: Unpack[CallLimits]) -> list[R]: ...
    @overload
    def run(
        self, operation: InvokeMany[R], **limits: Unpack[CallLimits]
    ) -> list[R | Exception]: ...
    @overload
    def run(self, operation: Invoke[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    def run(self, operation: Op[R], **limits: Unpack[CallLimits]) -> R: ...
    def run(self, operation: Any, **limits: Unpack[CallLimits]) -> Any:
        """Run an operation to its result; the facades are made of this.

        Args:
            operation: What to do.
            **limits: ``timeout`` and ``idle_timeout``; see ``CallLimits``.

        Raises:
            LMStudioTimeoutError: It took too long, or nothing came within the sync timeout.
            LMStudioServerError: The server answered with an error.
            LMStudioConnectionError: There is no server, or the connection was lost.
        """
        return self._driver.run(operation, limits_of(limits, get_sync_api_timeout))

    def open(self, channel: Channel[E, R], **limits: Unpack[CallLimits]) -> SyncChannelStream[E, R]:
        """Start a channel and hand over its stream of events."""
        return self._driver.open(channel, limits_of(limits, get_sync_api_timeout))

    def stream(self, batch: Batch[R], **limits: Unpack[CallLimits]) -> SyncBatchStream[R]:
        """The results of a batch, in order, as they come; its calls are asked for as needed."""
        return self._driver.stream(batch, limits_of(limits, get_sync_api_timeout))

    def is_connected(self, namespace: str) -> bool:
        """Whether the socket of a server namespace is open."""
        return self._driver.is_connected(namespace)

    def connect(self, namespace: str) -> None:
        """Open the socket of a server namespace now."""
        self._driver.connection(namespace)

    def disconnect(self, namespace: str) -> None:
        """Close the socket of a server namespace; the next call opens it again."""
        self._driver.disconnect(namespace)

    # -- namespaces ------------------------------------------------------------------------------

    @overload
    def capability(self, capability: Capability[S, Any]) -> S: ...
    @overload
    def capability(self, capability: str) -> Any: ...
    def capability(self, capability: Capability[Any, Any] | str) -> Any:
        """The namespace of a capability, by its name or (typed) by its ``Capability``.

        Raises:
            CapabilityNotInstalledError: No installed package provides it.
            PluginLoadError: The package that provides it is broken.
        """
        name = capability if isinstance(capability, str) else capability.name
        if name not in self._namespaces:
            found = plugins.capability(name) if isinstance(capability, str) else capability
            self._namespaces[name] = plugins.load_part(name, found.load_sync)(self)
        return self._namespaces[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in plugins.capability_names():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.capability(name)

    @property
    def llm(self) -> LLMNamespace:
        """Language models (package ``lmstudio-llm``)."""
        return self.capability("llm")  # type: ignore[no-any-return] # by entry point

    @property
    def embedding(self) -> EmbeddingNamespace:
        """Embedding models (package ``lmstudio-embed``)."""
        return self.capability("embedding")  # type: ignore[no-any-return] # by entry point

    @property
    def agent(self) -> AgentNamespace:
        """Agents (package ``lmstudio-agent``)."""
        return self.capability("agent")  # type: ignore[no-any-return] # by entry point

    @property
    def models(self) -> ModelsNamespace:
        """Models of every kind: list and unload."""
        return self.capability("models")  # type: ignore[no-any-return] # by entry point

    @property
    def system(self) -> SystemNamespace:
        """The server itself."""
        return self.capability("system")  # type: ignore[no-any-return] # by entry point

    @property
    def files(self) -> FilesNamespace:
        """Files and images for the server."""
        return self.capability("files")  # type: ignore[no-any-return] # by entry point

    @property
    def repository(self) -> RepositoryNamespace:
        """Models to download."""
        return self.capability("repository")  # type: ignore[no-any-return] # by entry point

    @property
    def runtime(self) -> RuntimeNamespace:
        """The engines that models run with, and the server's machine."""
        return self.capability("runtime")  # type: ignore[no-any-return] # by entry point

    @property
    def diagnostics(self) -> DiagnosticsNamespace:
        """The server's log."""
        return self.capability("diagnostics")  # type: ignore[no-any-return] # by entry point

    @property
    def plugins(self) -> PluginsNamespace:
        """Tools and generators of LM Studio plugins."""
        return self.capability("plugins")  # type: ignore[no-any-return] # by entry point

    def list_downloaded_models(self, namespace: str | None = None) -> list[Any]:
        """All downloaded models, or those of ``"llm"`` or ``"embedding"``."""
        return self.models.list_downloaded(namespace)

    def list_loaded_models(self, namespace: str | None = None) -> list[Any]:
        """Handles of all loaded models, or of those of ``"llm"`` or ``"embedding"``."""
        return self.models.list_loaded(namespace)

    def prepare_image(self, src: LocalFileInput, name: str | None = None) -> FileHandle:
        """Send an image to the server, for use in chats; see ``client.files.prepare_image``."""
        return self.files.prepare_image(src, name)


class AsyncClient(ClientBase):
    """A connection to an LM Studio server, for asyncio programs.

    Sockets open when they are first needed; no task runs between calls. Use it in an
    ``async with`` statement, or call ``await aclose()``. It belongs to the event loop in which it
    is first used.

    Args:
        api_host: ``"host:port"`` of the server. Without it, a local one is looked for as
            ``Client`` does.
        api_token: The server's API token; by default that of ``LM_API_TOKEN`` or
            ``LMSTUDIO_API_TOKEN``.

    Raises:
        LMStudioValueError: The host or the token is not of the form of one.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncClient() as client:
        ...         model = await client.llm.model("pocket")
        ...         print(await model.respond("What is the capital of France?"))
        >>> asyncio.run(main())
        The capital of France is Paris.
    """

    def __init__(self, api_host: str | None = None, api_token: str | None = None) -> None:
        super().__init__(api_host, api_token)
        self._driver = AsyncDriver(self._resolve, self._credentials, self._observer())

    async def _resolve(self, refused: Address | None = None) -> Address:
        """Where the server is; one that was found and then ``refused`` is looked for anew."""
        known = self._known
        if known is None or (known == refused and self._given is None):
            known = self._found = await self._driver.run(_find_server())
        return known

    @property
    def api_host(self) -> str:
        """``"host:port"`` of the server.

        Raises:
            LMStudioRuntimeError: It was not given and has not been looked for yet.
        """
        if (known := self._known) is None:
            raise LMStudioRuntimeError(
                "The server has not been looked for yet: enter the client with 'async with', or "
                "make any call first."
            )
        return str(known)

    async def __aenter__(self) -> Self:
        await self._resolve()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every socket. Calls that wait get an error, and so do later ones."""
        await self._driver.aclose()

    @classmethod
    async def is_valid_api_host(cls, api_host: str) -> bool:
        """Whether an LM Studio server answers at ``api_host`` (``"host:port"``)."""
        return bool(await _run_alone_async(_is_valid(api_host)))

    @classmethod
    async def find_default_local_api_host(cls) -> str | None:
        """``"host:port"`` of the LM Studio running on this machine, or ``None``. Starts nothing."""
        host: str | None = await _run_alone_async(_find_local_host())
        return host

    # -- operations ------------------------------------------------------------------------------

    @overload
    async def run(self, operation: Call[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    async def run(self, operation: Channel[Any, R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    async def run(self, operation: Batch[R], **limits: Unpack[CallLimits]) -> list[R]: ...
    @overload
    async def run(
        self, operation: InvokeMany[R], **limits: Unpack[CallLimits]
    ) -> list[R | Exception]: ...
    @overload
    async def run(self, operation: Invoke[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    async def run(self, operation: Op[R], **limits: Unpack[CallLimits]) -> R: ...
    async def run(self, operation: Any, **limits: Unpack[CallLimits]) -> Any:
        """Run an operation to its result; the facades are made of this.

        It waits for ever unless told otherwise; ``asyncio.wait_for`` and
        ``anyio.move_on_after`` work as well as the limits here.

        Args:
            operation: What to do.
            **limits: ``timeout`` and ``idle_timeout``; see ``CallLimits``.

        Raises:
            LMStudioTimeoutError: It took longer than the limits allow.
            LMStudioServerError: The server answered with an error.
            LMStudioConnectionError: There is no server, or the connection was lost.
        """
        return await self._driver.run(operation, limits_of(limits))

    def open(
        self, channel: Channel[E, R], **limits: Unpack[CallLimits]
    ) -> AsyncChannelStream[E, R]:
        """The stream of a channel's events; it starts when it is first used."""
        return self._driver.open(channel, limits_of(limits))

    def stream(self, batch: Batch[R], **limits: Unpack[CallLimits]) -> AsyncBatchStream[R]:
        """The results of a batch, in order, as they come; its calls are asked for as needed."""
        return self._driver.stream(batch, limits_of(limits))

    def is_connected(self, namespace: str) -> bool:
        """Whether the socket of a server namespace is open."""
        return self._driver.is_connected(namespace)

    async def connect(self, namespace: str) -> None:
        """Open the socket of a server namespace now."""
        await self._driver.connection(namespace)

    async def disconnect(self, namespace: str) -> None:
        """Close the socket of a server namespace; the next call opens it again."""
        await self._driver.disconnect(namespace)

    # -- namespaces ------------------------------------------------------------------------------

    @overload
    def capability(self, capability: Capability[Any, A]) -> A: ...
    @overload
    def capability(self, capability: str) -> Any: ...
    def capability(self, capability: Capability[Any, Any] | str) -> Any:
        """The namespace of a capability, by its name or (typed) by its ``Capability``.

        Raises:
            CapabilityNotInstalledError: No installed package provides it.
            PluginLoadError: The package that provides it is broken.
        """
        name = capability if isinstance(capability, str) else capability.name
        if name not in self._namespaces:
            found = plugins.capability(name) if isinstance(capability, str) else capability
            self._namespaces[name] = plugins.load_part(name, found.load_async)(self)
        return self._namespaces[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in plugins.capability_names():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.capability(name)

    @property
    def llm(self) -> AsyncLLMNamespace:
        """Language models (package ``lmstudio-llm``)."""
        return self.capability("llm")  # type: ignore[no-any-return] # by entry point

    @property
    def embedding(self) -> AsyncEmbeddingNamespace:
        """Embedding models (package ``lmstudio-embed``)."""
        return self.capability("embedding")  # type: ignore[no-any-return] # by entry point

    @property
    def agent(self) -> AsyncAgentNamespace:
        """Agents (package ``lmstudio-agent``)."""
        return self.capability("agent")  # type: ignore[no-any-return] # by entry point

    @property
    def models(self) -> AsyncModelsNamespace:
        """Models of every kind: list and unload."""
        return self.capability("models")  # type: ignore[no-any-return] # by entry point

    @property
    def system(self) -> AsyncSystemNamespace:
        """The server itself."""
        return self.capability("system")  # type: ignore[no-any-return] # by entry point

    @property
    def files(self) -> AsyncFilesNamespace:
        """Files and images for the server."""
        return self.capability("files")  # type: ignore[no-any-return] # by entry point

    @property
    def repository(self) -> AsyncRepositoryNamespace:
        """Models to download."""
        return self.capability("repository")  # type: ignore[no-any-return] # by entry point

    @property
    def runtime(self) -> AsyncRuntimeNamespace:
        """The engines that models run with, and the server's machine."""
        return self.capability("runtime")  # type: ignore[no-any-return] # by entry point

    @property
    def diagnostics(self) -> AsyncDiagnosticsNamespace:
        """The server's log."""
        return self.capability("diagnostics")  # type: ignore[no-any-return] # by entry point

    @property
    def plugins(self) -> AsyncPluginsNamespace:
        """Tools and generators of LM Studio plugins."""
        return self.capability("plugins")  # type: ignore[no-any-return] # by entry point

    async def list_downloaded_models(self, namespace: str | None = None) -> list[Any]:
        """All downloaded models, or those of ``"llm"`` or ``"embedding"``."""
        return await self.models.list_downloaded(namespace)

    async def list_loaded_models(self, namespace: str | None = None) -> list[Any]:
        """Handles of all loaded models, or of those of ``"llm"`` or ``"embedding"``."""
        return await self.models.list_loaded(namespace)

    async def prepare_image(self, src: LocalFileInput, name: str | None = None) -> FileHandle:
        """Send an image to the server, for use in chats; see ``client.files.prepare_image``."""
        return await self.files.prepare_image(src, name)


def _no_address(_refused: Address | None = None) -> Address:
    raise LMStudioRuntimeError("This operation needs no server.")


async def _no_address_async(_refused: Address | None = None) -> Address:
    return _no_address()


def _run_alone(op: Op[Any]) -> Any:
    """Run an op that looks around on this machine only."""
    return SyncDriver(_no_address, credentials(None, {}), None).run(op)


async def _run_alone_async(op: Op[Any]) -> Any:
    return await AsyncDriver(_no_address_async, credentials(None, {}), None).run(op)
