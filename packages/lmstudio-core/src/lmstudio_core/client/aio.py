"""``AsyncClient``, for asyncio programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from typing_extensions import Self, Unpack

from ..drivers.functions import off_loop
from ..drivers.loops import running_loop
from ..errors import LMStudioRuntimeError
from ..plugins.capability import Capability
from ..protocol.address import Address
from ..protocol.auth import credentials
from ..protocol.liveness import PingSetting, ping_settings
from ..protocol.operations import Batch, Call, Channel, Invoke, InvokeMany, Op
from ..timeouts import CallLimits, limits_of
from .base import (
    ClientBase,
    find_local_host,
    find_server,
    has_ended,
    installed_plugins,
    is_valid,
    no_address,
    preload,
)
from .network import SslSetting

if TYPE_CHECKING:
    from lmstudio_agent import AsyncAgentNamespace
    from lmstudio_batch import AsyncBatchNamespace
    from lmstudio_embed import (
        AsyncDownloadedEmbeddingModel,
        AsyncEmbeddingModel,
        AsyncEmbeddingNamespace,
    )
    from lmstudio_llm import AsyncDownloadedLlm, AsyncLLM, AsyncLLMNamespace
    from lmstudio_plugin import AsyncPluginsNamespace

    from ..drivers.aio import AsyncDriver
    from ..drivers.aio_stream import AsyncChannelStream
    from ..drivers.batches import AsyncBatchStream
    from ..files import AsyncFilesNamespace
    from ..files.handles import FileHandle, LocalFileInput
    from ..manage.diagnostics import AsyncDiagnosticsNamespace
    from ..manage.models import AsyncModelsNamespace
    from ..manage.repository import AsyncRepositoryNamespace
    from ..manage.runtime import AsyncRuntimeNamespace
    from ..manage.system import AsyncSystemNamespace
    from ..models.downloaded import AsyncDownloadedModel
    from ..models.handles import AsyncModelHandle
    from ..models.specifiers import ModelDomain


_HINTS: Final = {
    **{
        f"Async{name}Namespace": f"lmstudio_core.manage.{name.lower()}:Async{name}Namespace"
        for name in ("Diagnostics", "Models", "Repository", "Runtime", "System")
    },
    "AsyncFilesNamespace": "lmstudio_core.files:AsyncFilesNamespace",
    "AsyncPluginsNamespace": "lmstudio_plugin:AsyncPluginsNamespace",
    "AsyncBatchStream": "lmstudio_core.drivers.batches:AsyncBatchStream",
    "AsyncChannelStream": "lmstudio_core.drivers.aio_stream:AsyncChannelStream",
    "AsyncDriver": "lmstudio_core.drivers.aio:AsyncDriver",
    "ModelDomain": "lmstudio_core.models.specifiers:ModelDomain",
}

R = TypeVar("R")
E = TypeVar("E")
S = TypeVar("S")
A = TypeVar("A")


class AsyncClient(ClientBase):  # public, api
    """A connection to an LM Studio server, for asyncio programs.

    Sockets open when they are first needed; no task runs between calls. Use it in an
    ``async with`` statement, or call ``await aclose()``. It belongs to the event loop in which it
    is first used.

    Args:
        api_host: ``"host:port"`` of the server. Without it, a local one is looked for as
            ``Client`` does.
        api_token: The server's API token; by default that of ``LM_API_TOKEN`` or
            ``LMSTUDIO_API_TOKEN``.
        client_identifier: As whom to connect, for a plugin's own process: the
            ``client_identifier`` of its registration's credentials. LM Studio sets it, the passkey
            and the server's address as ``LMS_PLUGIN_CLIENT_IDENTIFIER``,
            ``LMS_PLUGIN_CLIENT_PASSKEY`` and ``LMS_PLUGIN_BASE_URL``; without ``api_host``, they
            are used where they are set.
        client_passkey: The ``client_passkey`` that goes with it.
        headers: Sent with every handshake, for a proxy before the server; also
            ``LMSTUDIO_API_HEADERS`` (lines of ``Name: value``, or a JSON object).
        ssl: How an ``https`` address is checked: an ``SSLContext``; the path of a CA's
            certificates; ``False`` for not at all, with a warning. By default it is this machine's
            CAs. Also ``LMSTUDIO_API_SSL``.
        proxy: The URL of the proxy that leads to the server; ``False`` for none. By default that of
            the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) for
            servers on other machines. Also ``LMSTUDIO_API_PROXY``.
        ping_interval: Seconds without a sign of life after which a call that waits pings the server;
            ``None`` for no pings. By default what ``LMSTUDIO_PING_INTERVAL`` says, else 20.
        ping_timeout: Seconds for the answer. Without one, all that wait get
            ``LMStudioConnectionError`` and the next call opens a new socket. By default what
            ``LMSTUDIO_PING_TIMEOUT`` says, else 20.

    Raises:
        LMStudioValueError: The host, the token, the pair or another argument is not of the form of
            one.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncClient() as client:
        ...         model = await client.llm.model("pocket")
        ...         print(await model.respond("What is the capital of France?"))
        >>> asyncio.run(main())
        The capital of France is Paris.
    """

    _how_to_close = "'async with', or await its aclose()"

    def __init__(
        self,
        api_host: str | None = None,
        api_token: str | None = None,
        *,
        client_identifier: str | None = None,
        client_passkey: str | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: SslSetting = None,
        proxy: str | bool | None = None,
        ping_interval: PingSetting = ...,
        ping_timeout: PingSetting = ...,
    ) -> None:
        super().__init__(
            api_host, api_token, client_identifier, client_passkey, headers, ssl, proxy
        )
        self._pings = ping_settings(ping_interval, ping_timeout, os.environ)
        self._made_driver: AsyncDriver | None = None

    @property
    def _driver(self) -> AsyncDriver:
        if self._made_driver is None:
            from ..drivers.aio import AsyncDriver  # what a client imports most, see _prepare

            self._made_driver = AsyncDriver(
                self._resolve, self._credentials, self._observer(), self._pings
            )
        return self._made_driver

    async def _ready_driver(self) -> AsyncDriver:
        """The driver; if it is not made yet, a thread imports before what it and its users need."""
        if self._made_driver is None:
            running_loop()  # its error tells what to do where there is none
            await _prepare()
        return self._driver

    async def _resolve(self, refused: Address | None = None) -> Address:
        """Where the server is; one that was found and then ``refused`` is looked for anew."""
        known = self._known
        if known is None or (self._given is None and (known == refused or has_ended(known))):
            known = self._found = self._network.to(await self._driver.run(find_server()))
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
        return known.api_host

    def _forsake(self) -> bool:
        made: AsyncDriver | None = self.__dict__.get("_made_driver")
        return made is not None and made.forsake()

    async def __aenter__(self) -> Self:
        await self._ready_driver()
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

    async def close_idle(self) -> None:
        """Close the sockets that nobody is using; calls that wait go on, and new ones may follow."""
        await self._driver.close_idle()

    @classmethod
    async def is_valid_api_host(cls, api_host: str) -> bool:
        """Whether an LM Studio server answers at ``api_host`` (``"host:port"``).

        Headers, certificates and proxies are those of the environment.

        Args:
            api_host: Where to ask, as ``"host:port"``.

        Returns:
            Whether one answers.
        """
        return bool(await _run_alone(is_valid(api_host)))

    @classmethod
    async def find_default_local_api_host(cls) -> str | None:
        """``"host:port"`` of the LM Studio running on this machine, or ``None``. Starts nothing."""
        host: str | None = await _run_alone(find_local_host())
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
        driver = await self._ready_driver()
        return await driver.run(operation, limits_of(limits))

    def open(
        self, channel: Channel[E, R], **limits: Unpack[CallLimits]
    ) -> AsyncChannelStream[E, R]:
        """The stream of a channel's events; it starts when it is first used.

        Args:
            channel: What is to be run.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The stream.
        """
        return self._driver.open(channel, limits_of(limits))

    def stream(self, batch: Batch[R], **limits: Unpack[CallLimits]) -> AsyncBatchStream[R]:
        """The results of a batch, in order, as they come; its calls are asked for as needed.

        Args:
            batch: The calls.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The stream.
        """
        return self._driver.stream(batch, limits_of(limits))

    def is_connected(self, namespace: str) -> bool:
        """Whether the socket of a server namespace is open.

        Args:
            namespace: A namespace of the server, such as ``"llm"`` or ``"system"``.

        Returns:
            Whether it is open.
        """
        return self._driver.is_connected(namespace)

    async def connect(self, namespace: str) -> None:
        """Open the socket of a server namespace now.

        Args:
            namespace: A namespace of the server, such as ``"llm"`` or ``"system"``.
        """
        await (await self._ready_driver()).connection(namespace)

    async def disconnect(self, namespace: str) -> None:
        """Close the socket of a server namespace; the next call opens it again.

        Args:
            namespace: A namespace of the server, such as ``"llm"`` or ``"system"``.
        """
        await self._driver.disconnect(namespace)

    # -- namespaces ------------------------------------------------------------------------------

    @overload
    def capability(self, capability: Capability[Any, A]) -> A: ...
    @overload
    def capability(self, capability: str) -> Any: ...
    def capability(self, capability: Capability[Any, Any] | str) -> Any:
        """The namespace of a capability, by its name or (typed) by its ``Capability``.

        Args:
            capability: The name of a capability, or its ``Capability``, by which type checkers know
                the namespace.

        Returns:
            The namespace, the same one each time.

        Raises:
            CapabilityNotInstalledError: No installed package provides it.
            PluginLoadError: The package that provides it is broken.
        """
        return self._namespace(capability, lambda found: found.load_async)

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
    def batch(self) -> AsyncBatchNamespace:
        """Batches: many rows, on this host or on many (package ``lmstudio-batch``)."""
        return self.capability("batch")  # type: ignore[no-any-return] # by entry point

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

    @overload
    async def list_downloaded_models(
        self, namespace: Literal["llm"], **limits: Unpack[CallLimits]
    ) -> list[AsyncDownloadedLlm]: ...
    @overload
    async def list_downloaded_models(
        self, namespace: Literal["embedding"], **limits: Unpack[CallLimits]
    ) -> list[AsyncDownloadedEmbeddingModel]: ...
    @overload
    async def list_downloaded_models(
        self, namespace: None = None, **limits: Unpack[CallLimits]
    ) -> list[AsyncDownloadedModel]: ...
    async def list_downloaded_models(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[Any]:
        """All downloaded models, or those of ``"llm"`` or ``"embedding"``.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those; ``None`` for all.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The models, which can be loaded from here.
        """
        return await self.models.list_downloaded(namespace, **limits)

    @overload
    async def list_loaded_models(
        self, namespace: Literal["llm"], **limits: Unpack[CallLimits]
    ) -> list[AsyncLLM]: ...
    @overload
    async def list_loaded_models(
        self, namespace: Literal["embedding"], **limits: Unpack[CallLimits]
    ) -> list[AsyncEmbeddingModel]: ...
    @overload
    async def list_loaded_models(
        self, namespace: None = None, **limits: Unpack[CallLimits]
    ) -> list[AsyncModelHandle]: ...
    async def list_loaded_models(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[Any]:
        """Handles of all loaded models, or of those of ``"llm"`` or ``"embedding"``.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those; ``None`` for all.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handles.
        """
        return await self.models.list_loaded(namespace, **limits)

    async def prepare_image(
        self, src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
    ) -> FileHandle:
        """Send an image to the server, for use in chats; see ``client.files.prepare_image``.

        Args:
            src: A path, the image's bytes, or a binary file object. JPEG, PNG or WebP.
            name: What to call it; by default the file's name.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle to attach to messages.
        """
        return await self.files.prepare_image(src, name, **limits)


async def no_address_async(_refused: Address | None = None) -> Address:
    """As ``no_address``, for asyncio."""
    return no_address()


async def _prepare() -> None:
    """Before the first call of a program: what it needs is imported in a thread, not in the loop."""
    plugins = sys.modules.get(
        "lmstudio_core.plugins.registry"
    )  # not imported, it was not preloaded
    if plugins is None or not installed_plugins().preloaded:
        await off_loop(preload)


async def _run_alone(op: Op[Any]) -> Any:
    await _prepare()
    from ..drivers.aio import AsyncDriver

    return await AsyncDriver(no_address_async, credentials(None, {}), None).run(op)
