"""``client.system``: the server itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from typing_extensions import Unpack

from ..capability import Capability
from ..data import ServerStruct
from ..errors import LMStudioConnectionError, LMStudioValueError
from ..models.downloaded import AsyncDownloadedModel, DownloadedModel
from ..models.infos import ModelInfoBase
from ..models.operations import list_downloaded_variants
from ..protocol.operations import VOID, Call, Channel, Endpoint, Invoke, Op
from ..timeouts import CallLimits
from .base import AsyncNamespace, SyncNamespace
from .packets import items

__all__ = [
    "CAPABILITY",
    "AsyncSystemNamespace",
    "ServerInfo",
    "ServerVersion",
    "SystemNamespace",
]

CAPABILITY: Final[Capability[SystemNamespace, AsyncSystemNamespace]] = Capability(
    name="system",
    sync_namespace=f"{__name__}:SystemNamespace",
    async_namespace=f"{__name__}:AsyncSystemNamespace",
)


class ServerVersion(ServerStruct):
    """The server's version, such as ``"0.4.0"``, and its build number."""

    version: str = ""
    build: int = 0


class ServerInfo(ServerStruct):
    """The server's process id, whether it runs without a window, and its version."""

    pid: int = 0
    is_daemon: bool = False
    version: str = ""


# -- operations ----------------------------------------------------------------------------------


def _endpoint(name: str) -> Endpoint:
    return Endpoint("system", name)


def _nothing(_: Any) -> None:
    return None


def _text(what: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise LMStudioValueError(f"{what} must be a string that is not empty, not {value!r}.")
    return value


def _version() -> Call[ServerVersion]:
    return Call(_endpoint("version"), VOID, ServerVersion.from_dict)


def _info() -> Call[ServerInfo]:
    return Call(_endpoint("info"), VOID, ServerInfo.from_dict)


def _notify(title: str, description: str | None, no_auto_dismiss: bool) -> Call[None]:
    parameter: dict[str, Any] = {"title": _text("title", title)}
    if description is not None:
        parameter["description"] = description
    if no_auto_dismiss:
        parameter["noAutoDismiss"] = True
    return Call(_endpoint("notify"), parameter, _nothing)


def _set_experiment_flag(code: str, value: object) -> Call[None]:
    if not isinstance(value, bool):
        raise LMStudioValueError(f"value is True or False, not {value!r}.")
    parameter = {"code": _text("code", code), "value": value}
    return Call(_endpoint("setExperimentFlag"), parameter, _nothing)


def _get_experiment_flags() -> Call[list[str]]:
    def decode(raw: Any) -> list[str]:
        return [str(flag) for flag in items(raw)]

    return Call(_endpoint("getExperimentFlags"), VOID, decode)


def _start_http_server(
    port: object, cors: bool | None, network_interface: str | None
) -> Call[None]:
    parameter: dict[str, Any] = {}
    if port is not None:
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            raise LMStudioValueError(f"port is a whole number from 1 to 65535, not {port!r}.")
        parameter["port"] = port
    if cors is not None:
        parameter["cors"] = cors
    if network_interface is not None:
        parameter["networkInterface"] = _text("network_interface", network_interface)
    return Call(_endpoint("startHttpServer"), parameter, _nothing)


def _stop_http_server() -> Call[None]:
    return Call(_endpoint("stopHttpServer"), VOID, _nothing)


def _request_shutdown() -> Call[None]:
    return Call(_endpoint("requestShutdown"), VOID, _nothing)


class _AliveChannel(Channel[Any, None]):
    """Carries nothing: it ends when the server or the connection does."""

    endpoint = Endpoint("system", "alive", "channel")
    cancel_message = None  # the server knows no such packet
    done = True  # nor has it a last one
    patient = True

    def feed(self, message: Any) -> Sequence[Any]:
        del message
        return ()

    def result(self) -> None:
        return None


def _wait_disconnected(connect: Callable[[], Any]) -> Op[None]:
    """Wait for the end of a connection, which ``connect`` opens if there is none yet."""
    yield Invoke(connect)  # that there is no server at all is an error, not the end of one
    with contextlib.suppress(LMStudioConnectionError):
        yield _AliveChannel()


# -- facades -------------------------------------------------------------------------------------


class SystemNamespace(SyncNamespace):
    """The server itself."""

    server_namespace = "system"

    def list_downloaded_models(self, **limits: Unpack[CallLimits]) -> list[DownloadedModel]:
        """All downloaded models, of every kind."""
        found: list[DownloadedModel] = self._client.capability("models").list_downloaded(**limits)
        return found

    def list_downloaded_model_variants(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> list[ModelInfoBase]:
        """The downloaded variants (quantizations, formats) of a model; each has its own key.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        return self._client.run(list_downloaded_variants(model_key), **limits)

    def version(self, **limits: Unpack[CallLimits]) -> ServerVersion:
        """The server's version and build."""
        return self._client.run(_version(), **limits)

    def info(self, **limits: Unpack[CallLimits]) -> ServerInfo:
        """The server's process."""
        return self._client.run(_info(), **limits)

    def notify(
        self,
        title: str,
        description: str | None = None,
        *,
        no_auto_dismiss: bool = False,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Show a notification in LM Studio's window.

        Args:
            title: The first line.
            description: What is below it.
            no_auto_dismiss: Whether it stays until somebody closes it.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        self._client.run(_notify(title, description, no_auto_dismiss), **limits)

    def get_experiment_flags(self, **limits: Unpack[CallLimits]) -> list[str]:
        """The codes of the experiments that are turned on."""
        return self._client.run(_get_experiment_flags(), **limits)

    def set_experiment_flag(self, code: str, value: bool, **limits: Unpack[CallLimits]) -> None:
        """Turn an experiment on or off. Experiments are LM Studio's own and change without notice."""
        self._client.run(_set_experiment_flag(code, value), **limits)

    def start_http_server(
        self,
        port: int | None = None,
        *,
        cors: bool | None = None,
        network_interface: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Start the server that HTTP clients use, as the switch in LM Studio's window does.

        Args:
            port: Where it listens, 1 to 65535; by default the port last used.
            cors: Whether pages of other origins may use it.
            network_interface: The address of the interface to listen on, such as ``"127.0.0.1"``
                (this machine only) or ``"0.0.0.0"`` (the whole network).
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        self._client.run(_start_http_server(port, cors, network_interface), **limits)

    def stop_http_server(self, **limits: Unpack[CallLimits]) -> None:
        """Stop the server that HTTP clients use; connections over it, perhaps this one, end."""
        self._client.run(_stop_http_server(), **limits)

    def request_shutdown(self, **limits: Unpack[CallLimits]) -> None:
        """Ask the whole server to end itself; ``wait_disconnected`` waits until it has."""
        self._client.run(_request_shutdown(), **limits)

    def wait_disconnected(self, **limits: Unpack[CallLimits]) -> None:
        """Wait until the server ends or the connection to it is lost, however long it takes.

        Raises:
            LMStudioConnectionError: There is no server to begin with.
        """
        self._client.run(_wait_disconnected(self.connect), **limits)


class AsyncSystemNamespace(AsyncNamespace):
    """The server itself, for asyncio."""

    server_namespace = "system"

    async def list_downloaded_models(
        self, **limits: Unpack[CallLimits]
    ) -> list[AsyncDownloadedModel]:
        """All downloaded models, of every kind."""
        models = self._client.capability("models")
        found: list[AsyncDownloadedModel] = await models.list_downloaded(**limits)
        return found

    async def list_downloaded_model_variants(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> list[ModelInfoBase]:
        """The downloaded variants (quantizations, formats) of a model; each has its own key.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        return await self._client.run(list_downloaded_variants(model_key), **limits)

    async def version(self, **limits: Unpack[CallLimits]) -> ServerVersion:
        """The server's version and build."""
        return await self._client.run(_version(), **limits)

    async def info(self, **limits: Unpack[CallLimits]) -> ServerInfo:
        """The server's process."""
        return await self._client.run(_info(), **limits)

    async def notify(
        self,
        title: str,
        description: str | None = None,
        *,
        no_auto_dismiss: bool = False,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Show a notification in LM Studio's window.

        Args:
            title: The first line.
            description: What is below it.
            no_auto_dismiss: Whether it stays until somebody closes it.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(_notify(title, description, no_auto_dismiss), **limits)

    async def get_experiment_flags(self, **limits: Unpack[CallLimits]) -> list[str]:
        """The codes of the experiments that are turned on."""
        return await self._client.run(_get_experiment_flags(), **limits)

    async def set_experiment_flag(
        self, code: str, value: bool, **limits: Unpack[CallLimits]
    ) -> None:
        """Turn an experiment on or off. Experiments are LM Studio's own and change without notice."""
        await self._client.run(_set_experiment_flag(code, value), **limits)

    async def start_http_server(
        self,
        port: int | None = None,
        *,
        cors: bool | None = None,
        network_interface: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Start the server that HTTP clients use, as the switch in LM Studio's window does.

        Args:
            port: Where it listens, 1 to 65535; by default the port last used.
            cors: Whether pages of other origins may use it.
            network_interface: The address of the interface to listen on, such as ``"127.0.0.1"``
                (this machine only) or ``"0.0.0.0"`` (the whole network).
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(_start_http_server(port, cors, network_interface), **limits)

    async def stop_http_server(self, **limits: Unpack[CallLimits]) -> None:
        """Stop the server that HTTP clients use; connections over it, perhaps this one, end."""
        await self._client.run(_stop_http_server(), **limits)

    async def request_shutdown(self, **limits: Unpack[CallLimits]) -> None:
        """Ask the whole server to end itself; ``wait_disconnected`` waits until it has."""
        await self._client.run(_request_shutdown(), **limits)

    async def wait_disconnected(self, **limits: Unpack[CallLimits]) -> None:
        """Wait until the server ends or the connection to it is lost, however long it takes.

        Raises:
            LMStudioConnectionError: There is no server to begin with.
        """
        await self._client.run(_wait_disconnected(self.connect), **limits)
