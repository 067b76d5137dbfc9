"""``Client``, for synchronous programs."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from typing_extensions import Self, Unpack

from ..drivers.batches import SyncBatchStream
from ..drivers.sync import SyncDriver
from ..drivers.sync_stream import SyncChannelStream
from ..plugins.capability import Capability
from ..protocol.address import Address
from ..protocol.auth import credentials
from ..protocol.liveness import PingSetting, ping_settings
from ..protocol.operations import Batch, Call, Channel, Invoke, InvokeMany, Op
from ..timeouts import CallLimits, get_sync_api_timeout, limits_of
from .base import ClientBase, find_local_host, find_server, has_ended, is_valid, no_address
from .network import SslSetting

if TYPE_CHECKING:
    from lmstudio_agent import AgentNamespace
    from lmstudio_batch import BatchNamespace
    from lmstudio_embed import DownloadedEmbeddingModel, EmbeddingModel, EmbeddingNamespace
    from lmstudio_llm import LLM, DownloadedLlm, LLMNamespace
    from lmstudio_plugin import PluginsNamespace

    from ..files import FilesNamespace
    from ..files.handles import FileHandle, LocalFileInput
    from ..manage.diagnostics import DiagnosticsNamespace
    from ..manage.models import ModelsNamespace
    from ..manage.repository import RepositoryNamespace
    from ..manage.runtime import RuntimeNamespace
    from ..manage.system import SystemNamespace
    from ..models.downloaded import DownloadedModel
    from ..models.handles import SyncModelHandle
    from ..models.specifiers import ModelDomain


_HINTS: Final = {
    **{
        f"{name}Namespace": f"lmstudio_core.manage.{name.lower()}:{name}Namespace"
        for name in ("Diagnostics", "Models", "Repository", "Runtime", "System")
    },
    "FilesNamespace": "lmstudio_core.files:FilesNamespace",
    "ModelDomain": "lmstudio_core.models.specifiers:ModelDomain",
    "PluginsNamespace": "lmstudio_plugin:PluginsNamespace",
}

R = TypeVar("R")
E = TypeVar("E")
S = TypeVar("S")
A = TypeVar("A")


class Client(ClientBase):  # public, api
    """A connection to an LM Studio server, for synchronous programs.

    Sockets open when they are first needed. Use it in a ``with`` statement, or call ``close()``.
    It may be used from several threads at once.

    Args:
        api_host: ``"host:port"`` of the server. Without it, a local one is looked for: by the
            environment variable ``LMSTUDIO_API_HOST``, by the file that LM Studio writes, on its
            local ports; and if ``lmstudio-server`` is installed it is started.
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
        >>> with Client() as client:
        ...     model = client.llm.model("pocket")
        ...     print(model.respond("What is the capital of France?"))
        The capital of France is Paris.
    """

    _how_to_close = "'with', or its close()"

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
        pings = ping_settings(ping_interval, ping_timeout, os.environ)
        self._driver = SyncDriver(self._resolve, self._credentials, self._observer(), pings)
        _open.add(self)

    def _resolve(self, refused: Address | None = None) -> Address:
        """Where the server is; one that was found and then ``refused`` is looked for anew."""
        known = self._known
        if known is None or (self._given is None and (known == refused or has_ended(known))):
            known = self._found = self._network.to(self._driver.run(find_server()))
        return known

    @property
    def api_host(self) -> str:
        """``"host:port"`` of the server; looked for now if it is not known yet."""
        return self._resolve().api_host

    def _forsake(self) -> bool:
        made: SyncDriver | None = self.__dict__.get("_driver")
        return made is not None and made.forsake()

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

    def close_idle(self) -> None:
        """Close the sockets that nobody is using; calls that wait go on, and new ones may follow."""
        self._driver.close_idle()

    @classmethod
    def is_valid_api_host(cls, api_host: str) -> bool:
        """Whether an LM Studio server answers at ``api_host`` (``"host:port"``).

        Headers, certificates and proxies are those of the environment.

        Args:
            api_host: Where to ask, as ``"host:port"``.

        Returns:
            Whether one answers.
        """
        return bool(_run_alone(is_valid(api_host)))

    @classmethod
    def find_default_local_api_host(cls) -> str | None:
        """``"host:port"`` of the LM Studio running on this machine, or ``None``. Starts nothing."""
        host: str | None = _run_alone(find_local_host())
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
        """Start a channel and hand over its stream of events.

        Args:
            channel: What is to be run.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The stream.
        """
        return self._driver.open(channel, limits_of(limits, get_sync_api_timeout))

    def stream(self, batch: Batch[R], **limits: Unpack[CallLimits]) -> SyncBatchStream[R]:
        """The results of a batch, in order, as they come; its calls are asked for as needed.

        Args:
            batch: The calls.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The stream.
        """
        return self._driver.stream(batch, limits_of(limits, get_sync_api_timeout))

    def is_connected(self, namespace: str) -> bool:
        """Whether the socket of a server namespace is open.

        Args:
            namespace: A namespace of the server, such as ``"llm"`` or ``"system"``.

        Returns:
            Whether it is open.
        """
        return self._driver.is_connected(namespace)

    def connect(self, namespace: str) -> None:
        """Open the socket of a server namespace now.

        Args:
            namespace: A namespace of the server, such as ``"llm"`` or ``"system"``.
        """
        self._driver.connection(namespace)

    def disconnect(self, namespace: str) -> None:
        """Close the socket of a server namespace; the next call opens it again.

        Args:
            namespace: A namespace of the server, such as ``"llm"`` or ``"system"``.
        """
        self._driver.disconnect(namespace)

    # -- namespaces ------------------------------------------------------------------------------

    @overload
    def capability(self, capability: Capability[S, Any]) -> S: ...
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
        return self._namespace(capability, lambda found: found.load_sync)

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
    def batch(self) -> BatchNamespace:
        """Batches: many rows, on this host or on many (package ``lmstudio-batch``)."""
        return self.capability("batch")  # type: ignore[no-any-return] # by entry point

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

    @overload
    def list_downloaded_models(
        self, namespace: Literal["llm"], **limits: Unpack[CallLimits]
    ) -> list[DownloadedLlm]: ...
    @overload
    def list_downloaded_models(
        self, namespace: Literal["embedding"], **limits: Unpack[CallLimits]
    ) -> list[DownloadedEmbeddingModel]: ...
    @overload
    def list_downloaded_models(
        self, namespace: None = None, **limits: Unpack[CallLimits]
    ) -> list[DownloadedModel]: ...
    def list_downloaded_models(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[Any]:
        """All downloaded models, or those of ``"llm"`` or ``"embedding"``.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those; ``None`` for all.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The models, which can be loaded from here.
        """
        return self.models.list_downloaded(namespace, **limits)

    @overload
    def list_loaded_models(
        self, namespace: Literal["llm"], **limits: Unpack[CallLimits]
    ) -> list[LLM]: ...
    @overload
    def list_loaded_models(
        self, namespace: Literal["embedding"], **limits: Unpack[CallLimits]
    ) -> list[EmbeddingModel]: ...
    @overload
    def list_loaded_models(
        self, namespace: None = None, **limits: Unpack[CallLimits]
    ) -> list[SyncModelHandle]: ...
    def list_loaded_models(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[Any]:
        """Handles of all loaded models, or of those of ``"llm"`` or ``"embedding"``.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those; ``None`` for all.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handles.
        """
        return self.models.list_loaded(namespace, **limits)

    def prepare_image(
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
        return self.files.prepare_image(src, name, **limits)


_open: Final[weakref.WeakSet[Client]] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    """At the interpreter's exit: say goodbye where nobody is in the middle of something.

    That could only be a daemon thread. It is about to be gone without a word, and so is its socket;
    an error in it would be printed on the way out.
    """
    for client in list(_open):
        client.close_idle()


def _run_alone(op: Op[Any]) -> Any:
    """Run an op that looks around on this machine only."""
    return SyncDriver(no_address, credentials(None, {}), None).run(op)
