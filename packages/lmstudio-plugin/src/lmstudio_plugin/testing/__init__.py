"""Testing a plugin without LM Studio: a scripted app asks it, or the bundled server does.

The fixture ``lmstudio_plugin`` makes a ``TestedPlugin`` of a plugin's folder or of a ``Plugin``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from lmstudio_core.client.sync import Client
from lmstudio_llm.chat import Chat, history_data
from lmstudio_llm.messages import UserMessage
from lmstudio_llm.plugin_chats import PluginChat

from ..data import GeneratorResult, PluginTool
from ..plugin import Plugin
from ..served import ServedPlugin
from ..sessions import ToolUseSession
from .scripted import ScriptedApp

__all__ = ["Answered", "Preprocessed", "TestedPlugin", "ToolOutcome"]

_names = itertools.count(1)


@dataclass(frozen=True)
class ToolOutcome:
    """What a tool gave, and what it told on the way."""

    result: Any
    statuses: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Answered:
    """What a prediction loop showed.

    Attributes:
        updates: The updates, as they were sent.
        name: The name that it suggested for the chat.
    """

    updates: list[dict[str, Any]]
    name: str | None = None

    @property
    def text(self) -> str:
        """The text of all content blocks."""
        return "".join(u["text"] for u in self.updates if u["type"] == "contentBlock.appendText")

    @property
    def statuses(self) -> list[str]:
        """The texts of all statuses, in the order in which they were shown."""
        shown = ("status.create", "status.update")
        return [u["state"]["text"] for u in self.updates if u["type"] in shown]


@dataclass(frozen=True)
class Preprocessed(Answered):
    """What a preprocessor made of a message, and what it showed."""

    message: UserMessage = field(default_factory=lambda: UserMessage(content=[]))

    @property
    def prompt(self) -> str:
        """The text of the message."""
        return "".join(getattr(part, "text", "") for part in self.message.content)


class TestedPlugin:
    """A plugin that a test asks, in the place of LM Studio.

    Args:
        plugin: The folder of a plugin, or a ``Plugin``.
        server: A ``FakeServer``; another one has to be the bundled server.
        config: The settings of the chat.
        global_config: The settings for all chats.
        working_directory: A folder that it may work in.
        answers: What the user says to questions, in their order: a text, or ``True`` or ``False`` to the
            confirmation of a tool call. Without one, texts are empty and calls are allowed.

    Example:
        >>> def test_double(lmstudio_plugin):
        ...     assert lmstudio_plugin(plugin).call("double", {"number": 2}).result == 4
    """

    __test__ = False  # for pytest, which takes its name for that of a test

    def __init__(
        self,
        plugin: Plugin | str | Path,
        server: Any,
        *,
        config: Mapping[str, Any] | None = None,
        global_config: Mapping[str, Any] | None = None,
        working_directory: str | Path | None = None,
        answers: Iterable[Any] = (),
    ) -> None:
        self._config = dict(config or {})
        self._folder = None if working_directory is None else str(working_directory)
        self._answers = iter(answers)
        self._app = ScriptedApp(server, self._answer) if server.scripted else None
        defaults = {"global": dict(global_config or {})} if global_config else None
        name = f"test/plugin-{next(_names)}"
        self._served = ServedPlugin(plugin, server.api_host, name, defaults=defaults)
        self._client = Client(server.api_host)
        self._session: ToolUseSession | None = None
        self._server = server

    # -- tools -----------------------------------------------------------------------------------

    def _tool_session(self) -> ToolUseSession:
        if self._session is None:
            self._session = self._client.plugins.start_tool_use_session(
                self._served.identifier, config=self._config, working_directory=self._folder
            )
        return self._session

    def tools(self) -> Sequence[PluginTool]:
        """The tools that it lists, with their schemas."""
        return self._tool_session().available

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> ToolOutcome:
        """Call a tool.

        Raises:
            LMStudioServerError: The tool failed, or the plugin could not list its tools.
            LMStudioCancelledError: ``abort`` was called meanwhile.
        """
        statuses: list[str] = []
        warnings: list[str] = []
        result = self._tool_session().call_tool(
            name, arguments, on_status=statuses.append, on_warning=warnings.append
        )
        return ToolOutcome(result, statuses, warnings)

    # -- the other hooks -------------------------------------------------------------------------

    def generate(self, chat: Any, tools: Iterable[Mapping[str, Any]] = ()) -> GeneratorResult:
        """Let its generator answer a chat.

        Args:
            chat: A text, a ``Chat``, or a chat as plain data.
            tools: Definitions of tools that it may ask for.
        """
        return self._client.plugins.generate_with_generator(
            self._served.identifier,
            chat,
            tools=tools,
            config=self._config,
            working_directory=self._folder,
        )

    def preprocess(self, message: Any, history: Any = None) -> Preprocessed:
        """Let it preprocess a message: a text, or a ``UserMessage``.

        Args:
            message: The message.
            history: The chat before it.
        """
        chat = Chat() if history is None else Chat.from_history(history)
        chat.add_user_message(message if isinstance(message, str) else message.content)
        done, updates = self._predicted(chat, "preprocess", None)
        return Preprocessed(updates, done.get("name"), UserMessage.from_dict(done["input"]))

    def loop(self, chat: Any, model: str | None = None) -> Answered:
        """Let it answer a chat; ``model`` is what ``ctl.token_source()`` gives it."""
        done, updates = self._predicted(chat, "handlePredictionLoop", model)
        return Answered(updates, done.get("name"))

    def _predicted(
        self, chat: Any, kind: str, model: str | None
    ) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        if self._app is not None:
            history = history_data(chat)
            return self._app.predict(kind, history["messages"], self._config, self._folder, model)
        loaded = self._client.llm.model(model or self._server.llm().key)
        plugin: dict[str, Any] = {"identifier": self._served.identifier, "config": self._config}
        if self._folder is not None:
            plugin["workingDirectoryPath"] = self._folder
        updates: list[dict[str, Any]] = []
        with self._client.open(PluginChat(loaded.identifier, chat, [plugin])) as stream:
            for packet in stream:
                if packet["type"] == "update":
                    updates.append(dict(packet["update"]))
                elif packet["type"] == "request":
                    response = self._answer(packet["request"])
                    number = packet["requestId"]
                    stream.send({"type": "answer", "requestId": number, "response": response})
            return stream.result(), updates

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the user says."""
        if request["type"] == "textInput":
            return {"type": "textInput", "result": str(next(self._answers, ""))}
        allowed = next(self._answers, True)
        result = {"type": "allow"} if allowed else {"type": "deny", "denyReason": "no"}
        return {"type": "confirmToolCall", "result": result}

    def abort(self) -> None:
        """Abort all that runs; for another thread than the one that waits for it."""
        if self._session is not None:
            session, self._session = self._session, None
            session.close()
        if self._app is not None:
            self._app.abort()

    def close(self) -> None:
        """End it."""
        if self._session is not None:
            self._session.close()
        self._client.close()
        self._served.close()
        if self._app is not None:
            self._app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
