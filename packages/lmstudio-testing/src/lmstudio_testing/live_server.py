"""A real server in the place of the scripted one, for the same tests."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import Self

from lmstudio_core.plugins.installed import how_to_install

from .model_endpoints import ANY
from .recording_proxy import RecordingProxy
from .recordings import Recording

__all__ = ["LiveModel", "LiveServer", "LiveSettings", "live_server"]

_EMBEDDED: Final = "embedded"
_POCKET: Final = {"llm": "pocket", "embedding": "pocket-embedding"}
_KEYS: Final = {"getOrLoad": "identifier", "loadModel": "modelKey"}


@dataclass(frozen=True)
class LiveSettings:
    """Where the real server is, and which of its models stand for the scripted ones.

    Attributes:
        host: ``"host:port"``.
        models: ``"llm"`` and ``"embedding"`` → model key; without one, keys stay as they are.
        record: Whether recordings that tests replay are written anew.
    """

    host: str
    models: Mapping[str, str]
    record: bool = False


@contextmanager
def live_server(
    server: str, *, llm: str | None, embedding: str | None, record: bool
) -> Generator[LiveSettings, None, None]:
    """The real server that ``--lmstudio`` names; the bundled one runs until the block ends."""
    given = {"llm": llm, "embedding": embedding}
    chosen = {kind: key for kind, key in given.items() if key is not None}
    if server != _EMBEDDED:
        yield LiveSettings(server, chosen, record)
        return
    try:
        # By name: this package does not depend on the server's.
        running: Any = importlib.import_module("lmstudio_server.testing").running_server
    except ModuleNotFoundError:
        pytest.fail(
            "--lmstudio=embedded needs the bundled server. Install it with: "
            f"{how_to_install('lmstudio-server')}",
            pytrace=False,
        )
    with running() as process:
        yield LiveSettings(process.host, {**_POCKET, **chosen}, record)


class LiveModel:
    """Takes the place of a scripted model: it says what it will, whatever it is told.

    Attributes:
        key: The model key that the program may ask for.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def respond(self, *_args: Any, **_options: Any) -> Self:
        """Nothing: the model decides."""
        return self

    when: Callable[..., Self] = respond
    call_tool: Callable[..., Self] = respond
    answer: Callable[..., Self] = respond
    vector: Callable[..., Self] = respond

    def fail(self, *_args: Any, **_options: Any) -> Self:
        """Skip the test: a real model does not fail when it is told to."""
        pytest.skip("a real server cannot be told to fail")

    drop: Callable[..., Self] = fail
    break_tool_call: Callable[..., Self] = fail
    fail_to_load: Callable[..., Self] = fail


class LiveServer(RecordingProxy):
    """Stands before the real server, so that a test can ask what was asked.

    Where models are named that stand for the scripted ones, a program that asks for a scripted
    model gets that one.
    """

    def __init__(self, settings: LiveSettings) -> None:
        super().__init__(settings.host)
        self._settings = settings
        self._scripted_keys: dict[str, set[str]] = {"llm": set(), "embedding": set()}

    def llm(self, key: str = ANY, **_info: Any) -> LiveModel:
        """Takes the place of ``FakeServer.llm``."""
        return self._model("llm", key)

    def embedding(self, key: str = ANY, **_info: Any) -> LiveModel:
        """Takes the place of ``FakeServer.embedding``."""
        return self._model("embedding", key)

    def _model(self, kind: str, key: str) -> LiveModel:
        self._scripted_keys[kind].add(key)
        return LiveModel(self._settings.models.get(kind, key) if key == ANY else key)

    def on(self, *_args: Any, **_options: Any) -> None:
        """Skip the test: a real server answers as it does."""
        pytest.skip("a real server answers as it does")

    on_channel = on

    def replay(self, recording: str | Path | Recording) -> None:
        """Record this session anew in that file, with ``--lmstudio-record``; else nothing."""
        if self._settings.record and not isinstance(recording, Recording):
            self._path = recording

    def assert_all_used(self) -> None:
        """Nothing: a real server has no script."""

    def outgoing(self, namespace: str, message: str | bytes) -> str | bytes:
        """What goes to the server: with the model that stands for the scripted one."""
        chosen, scripted = self._settings.models.get(namespace), self._scripted_keys.get(namespace)
        if chosen is None or not scripted:
            return message
        frame = json.loads(message)
        key = _KEYS.get(frame.get("endpoint"))
        if frame.get("type") != "channelCreate" or key is None:
            return message
        parameter = frame["creationParameter"]
        if ANY in scripted or parameter.get(key) in scripted:
            parameter[key] = chosen
        return json.dumps(frame)
