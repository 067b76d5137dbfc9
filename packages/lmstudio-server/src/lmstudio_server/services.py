"""What the endpoints of one server share."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ._version import __version__
from .bridge.host import PluginHost
from .bridge.process import Processes
from .documents.desk import SearchDesk
from .documents.reader import Documents
from .files import FileStore
from .hardware import Surveys
from .library.folders import download_folder
from .limits import Connections
from .loading import Loads
from .logs import Logs
from .presence import Presence
from .registry import ModelRegistry
from .wire.auth import Authenticator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .config import ServerConfig
    from .engines.base import Engine
    from .hub.jobs import DownloadJobs
    from .hub.service import HubService
    from .library import ModelFile
    from .serving.second import SecondPort

__all__ = ["ModelLibrary", "Record", "Services"]


_log = logging.getLogger(__name__)


class ModelLibrary(Protocol):
    """The models on disk."""

    def scan(self) -> Sequence[ModelFile]: ...

    def find(self, key: str) -> ModelFile | None: ...

    def variants(self, key: str) -> Sequence[ModelFile]: ...

    def ambiguous(self, key: str) -> Sequence[str]: ...

    def close_matches(self, key: str, n: int = 5) -> Sequence[str]: ...


@dataclass
class Record:
    """What happened to this server, for its status."""

    warnings_sent: int = 0
    warnings_received: int = 0
    predictions: int = 0
    predicted_tokens: int = 0


@dataclass
class Services:
    """The state of one server."""

    config: ServerConfig
    engine: Engine
    library: ModelLibrary
    registry: ModelRegistry
    loads: Loads
    files: FileStore
    authenticator: Authenticator
    presence: Presence
    shutdown: asyncio.Event
    surveys: Surveys
    logs: Logs
    documents: Documents = field(default_factory=Documents)
    searches: SearchDesk = field(default_factory=SearchDesk)
    record: Record = field(default_factory=Record)
    connections: Connections = field(default_factory=Connections)
    started: float = field(default_factory=time.time)
    experiment_flags: set[str] = field(default_factory=set[str])
    plugins: PluginHost = field(init=False)
    processes: Processes = field(default_factory=Processes)
    second_port: SecondPort | None = None
    """Set once the server listens."""
    base_url: str | None = None
    """Where plugins reach this server, as ``ws://host:port``; set with the port."""

    def __post_init__(self) -> None:
        self.plugins = PluginHost(self.authenticator, self.config.plugins)

    @classmethod
    def create(cls, config: ServerConfig, engine: Engine, library: ModelLibrary) -> Services:
        """Put a server's parts together.

        Args:
            config: Where and how to serve.
            engine: What loads models.
            library: The models on the disk.
        """
        registry = ModelRegistry(engine)
        shutdown = asyncio.Event()

        def on_idle() -> None:
            _log.info("ending: no client for %g s", config.idle_timeout)
            shutdown.set()

        return cls(
            config=config,
            engine=engine,
            library=library,
            registry=registry,
            loads=Loads(registry),
            files=FileStore(),
            authenticator=Authenticator(config.api_tokens, config.control_key),
            presence=Presence(config.idle_timeout, on_idle),
            shutdown=shutdown,
            surveys=Surveys(),
            logs=Logs((*config.api_tokens, config.control_key)),
        )

    @cached_property
    def hub(self) -> HubService:
        """Made when first used: a server has to start quickly."""
        from .hub.service import HubService

        folder = download_folder(self.config.model_folders)
        return HubService(folder, self.library, self.surveys)

    @cached_property
    def download_jobs(self) -> DownloadJobs:
        """The same, for downloads that HTTP requests have started."""
        from .hub.jobs import DownloadJobs

        return DownloadJobs(self.hub, self.presence)

    async def close(self) -> None:
        """End what runs by itself, and delete what was kept for clients."""
        if "download_jobs" in vars(self):
            await self.download_jobs.close()
        self.searches.close()
        self.files.close()

    def status(self, pid: int, *, known: bool) -> dict[str, Any]:
        """What ``/lms-status`` tells. Only those are told of models who may use them."""
        status: dict[str, Any] = {
            "package": "lmstudio-server",
            "version": __version__,
            "pid": pid,
            "instanceId": self.config.instance_id,
            "isDaemon": self.config.is_daemon,
            "startedAt": self.started,
            "requiresToken": self.authenticator.requires_token,
            "connections": self.presence.sockets,
        }
        if known:
            status["loadedModels"] = [i.identifier for i in self.registry.instances()]
            status["communicationWarnings"] = {
                "sent": self.record.warnings_sent,
                "received": self.record.warnings_received,
            }
        return status
