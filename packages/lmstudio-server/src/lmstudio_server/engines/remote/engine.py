"""Listing and loading models of remote servers."""

from __future__ import annotations

import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_core.lenient import as_mapping
from lmstudio_server.engines.base import EngineError
from lmstudio_server.library.model_file import ModelFile

from .settings import RemoteModel, RemoteServer, RemoteSettingsError, configured_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmstudio_server.engines.base import LoadRequest

    from .client import RemoteClient
    from .model import RemoteLoadedModel
    from .settings import Dialect

__all__ = ["RemoteEngine"]

_log = logging.getLogger(__name__)

LIST_AGAIN_SECONDS = 10.0
"""For how long a server's list of models is remembered."""
SILENCE_SECONDS = 30.0
"""For how long its silence is: everybody who looks for a model waits while it is asked again."""
_EMBEDDING_NAME = re.compile(r"embed|minilm|(^|[/_-])(bge|gte|e5)[-_]", re.IGNORECASE)
_OWNERS: Mapping[str, Dialect] = {"llamacpp": "llama.cpp", "vllm": "vllm"}


class RemoteEngine:
    """Models of other servers that speak OpenAI's API.

    Args:
        servers: The servers; by default those of the environment and of the file it names. Wrong
            settings are reported in the log, and then there is none.
    """

    def __init__(self, servers: Sequence[RemoteServer] | None = None) -> None:
        self.name = "remote"
        self.version = "1"
        if servers is None:
            try:
                servers = configured_servers()
            except RemoteSettingsError as error:
                _log.error("no remote server is used: %s", error)
                servers = []
        if servers and find_spec("httpx2") is None:
            _log.error(
                "no remote server is used: httpx2 is missing. "
                'Install it with: pip install "httpx2>=2"'
            )
            servers = []
        self.servers: dict[str, RemoteServer] = {server.name: server for server in servers}
        self._lists: dict[str, tuple[float, list[ModelFile]]] = {}
        self._silent: set[str] = set()
        self._lock = threading.Lock()

    @property
    def formats(self) -> frozenset[str]:
        """None: it loads no files."""
        return frozenset()

    def offered(self) -> Sequence[ModelFile]:
        """The models of all servers. One that does not answer has none, and is named in the log."""
        if not self.servers:
            return []
        with self._lock, ThreadPoolExecutor(len(self.servers)) as threads:
            lists = list(threads.map(self._listed, self.servers.values()))
        return [model for models in lists for model in models]

    async def load(
        self, request: LoadRequest, on_progress: Callable[[float], None]
    ) -> RemoteLoadedModel:
        """Check that the server has the model, and return what asks it.

        Raises:
            EngineError: The server is not there, refuses the key, or does not have the model.
        """
        from .client import RemoteClient, models_in
        from .model import RemoteLoadedModel
        from .problems import unknown_model

        server_name, _, name = (request.model or "").partition("/")
        server = self.servers.get(server_name)
        if server is None:
            raise EngineError(
                f"No remote server is called {server_name!r}",
                cause=f"There are: {', '.join(self.servers) or 'none'}.",
                suggestion="Add it to the settings of remote servers.",
            )
        on_progress(0.0)
        client = RemoteClient(server)
        try:
            entries = models_in(server, await _listing(client, server))
            entry = next((entry for entry in entries if entry["id"] == name), None)
            if entry is None and (entries or server.models is None):
                raise unknown_model(server, name, [str(entry["id"]) for entry in entries])
            dialect = _dialect(server, entry or {})
            known = server.known(name)
            context = known.context_length or _context_of(entry or {})
            if context is None and dialect == "llama.cpp":
                context = await _llamacpp_context(client)
            model = RemoteLoadedModel(client, name, context or request.context_length, dialect)
        except BaseException:
            await client.close()
            raise
        on_progress(1.0)
        return model

    def _listed(self, server: RemoteServer) -> list[ModelFile]:
        when, models = self._lists.get(server.name, (0.0, []))
        known_for = SILENCE_SECONDS if server.name in self._silent else LIST_AGAIN_SECONDS
        if time.monotonic() - when < known_for and server.name in self._lists:
            return models
        models = self._ask(server)
        self._lists[server.name] = (time.monotonic(), models)
        return models

    def _ask(self, server: RemoteServer) -> list[ModelFile]:
        from .client import list_models

        try:
            entries = list_models(server)
        except EngineError as error:
            # Once per silence, not at every listing.
            if server.name not in self._silent:
                _log.warning("no models of a remote server: %s", error)
            self._silent.add(server.name)
            return []
        if server.name in self._silent:
            _log.info("the remote server %r answers again", server.name)
            self._silent.discard(server.name)
        by_id = {str(entry["id"]): entry for entry in entries}
        if server.models is not None:
            wanted = [known.name for known in server.models]
            return [_described(server, name, by_id.get(name, {})) for name in wanted]
        return [_described(server, name, entry) for name, entry in by_id.items()]


async def _listing(client: RemoteClient, server: RemoteServer) -> Any:
    """The answer of ``/v1/models``; a server may do without it if its models are in the settings."""
    from lmstudio_server.engines.llamacpp.transport import StatusError

    from .problems import status_problem

    try:
        return await client.get("models")
    except StatusError as error:
        if server.models is not None:
            return {"data": []}
        raise status_problem(server, error.status, error.payload.get("error")) from error


async def _llamacpp_context(client: RemoteClient) -> int | None:
    """The context length that llama.cpp's server was started with, if it tells."""
    from lmstudio_server.engines.llamacpp.transport import StatusError

    try:
        properties = await client.get("/props")
        return int(properties["default_generation_settings"]["n_ctx"]) or None
    except (EngineError, StatusError, LookupError, TypeError, ValueError):
        return None


def _dialect(server: RemoteServer, entry: Mapping[str, Any]) -> Dialect:
    if server.dialect != "auto":
        return server.dialect
    return _OWNERS.get(str(entry.get("owned_by")), "openai")


def _context_of(entry: Mapping[str, Any]) -> int | None:
    """The context length in a model's entry: vLLM has it there, some others elsewhere."""
    for name in ("max_model_len", "context_length", "context_window"):
        if isinstance(entry.get(name), int) and entry[name] > 0:
            return int(entry[name])
    return None


def _kind(known: RemoteModel) -> Literal["llm", "embedding"]:
    if known.kind is not None:
        return known.kind
    return "embedding" if _EMBEDDING_NAME.search(known.name) else "llm"


def _described(server: RemoteServer, name: str, entry: Mapping[str, Any]) -> ModelFile:
    """A remote model as the library lists it: its key is its name in lower case.

    llama.cpp's server names a model by its file, unless it is told otherwise (``--alias``).
    """
    known = server.known(name)
    shown = name.strip("/")
    if shown.lower().endswith(".gguf"):
        shown = re.split(r"[\\/]", shown)[-1][: -len(".gguf")]
    kind = _kind(known)
    details = as_mapping(entry.get("meta"))
    size: Any = details.get("size")
    context = known.context_length or _context_of(entry) or details.get("n_ctx_train")
    return ModelFile(
        key=shown.lower(),
        file=Path(server.name, *Path(shown).parts),
        path=f"{server.name}/{shown}",
        kind=kind,
        display_name=shown.rpartition("/")[2] or name,
        publisher=server.name,
        architecture=None,
        params_string=None,
        quantization_name=None,
        quantization_bits=None,
        size_bytes=size if isinstance(size, int) else 0,
        max_context_length=context if isinstance(context, int) else 0,
        vision=known.vision,
        trained_for_tool_use=known.tools and kind == "llm",
        reasoning=False,
        format="gguf" if entry.get("owned_by") == "llamacpp" else "safetensors",
        engine="remote",
        model=f"{server.name}/{name}",
    )
