"""LM Studio's part in a conversation with a plugin, on a scripted server."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from queue import Empty, Queue
from typing import Any, Final

from lmstudio_core.config import kv_config
from lmstudio_core.errors import LMStudioCancelledError, LMStudioServerError, LMStudioTimeoutError
from lmstudio_core.protocol.operations import VOID
from lmstudio_core.protocol.server_errors import server_error

from ..operations import HOOKS

__all__ = ["ScriptedApp"]

TASK_SECONDS: Final = 60.0
"""How long a test waits for a preprocessor or a loop."""
_TASKS = {"preprocess": "promptPreprocessor", "handlePredictionLoop": "predictionLoopHandler"}


class ScriptedApp:
    """Registers one plugin, passes on what its consumers say, and asks it to work on predictions.

    Args:
        server: A ``FakeServer``.
        answer: What a user says to a request.
    """

    def __init__(self, server: Any, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._server = server
        self._ids = itertools.count(1)
        self._hooks: dict[str, Any] = {}
        self._defaults: dict[str, dict[str, Any]] = {}
        self._consumers: dict[str, Any] = {}
        self._calls: dict[str, tuple[str, Any]] = {}
        self._tasks: dict[str, Queue[Any]] = {}
        self._updates: list[dict[str, Any]] = []
        self._messages: list[Any] = []
        self._model = "any"
        self.name: str | None = None
        self._script(answer)

    def _script(self, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        def on(name: str, reply: Any) -> None:
            self._server.on(f"plugins.{name}", reply)

        self._server.on_channel("plugins.registerDevelopmentPlugin", self._register)
        for hook, endpoint in HOOKS.items():
            self._server.on_channel(str(endpoint), partial(self._hook, hook))
        self._server.on_channel("plugins.startToolUseSession", self._session)
        self._server.on_channel("plugins.generateWithGenerator", self._generation)
        on("setConfigSchematics", partial(self._declared, "config"))
        on("setGlobalConfigSchematics", partial(self._declared, "global"))
        on("pluginInitCompleted", VOID)
        on("processingHandleUpdate", self._updated)

        def answered(given: Mapping[str, Any]) -> Any:
            return {"response": answer(given["request"])}

        on("processingHandleRequest", answered)
        on("processingPullHistory", self._history)
        on("processingGetOrLoadTokenSource", self._source)
        on("processingHasStatus", self._has_status)
        on("processingNeedsNaming", self._has_no_name)
        on("processingSuggestName", self._named)

    # -- in the server's thread ------------------------------------------------------------------

    async def _register(self, channel: Any) -> None:
        ready = {
            "type": "ready",
            "clientIdentifier": "plugin",
            "clientPasskey": secrets.token_hex(8),
        }
        channel.send(ready)
        await channel.next_message()
        channel.close()

    def _declared(self, kind: str, given: Mapping[str, Any]) -> Any:
        fields = given["schematics"]["fields"]
        self._defaults[kind] = {field["fullKey"]: field["defaultValue"] for field in fields}
        return VOID

    async def _hook(self, hook: str, channel: Any) -> None:
        self._hooks[hook] = channel
        while True:
            message = await channel.next_message()
            if hook == "toolsProvider":
                self._from_tools(message)
            elif message["taskId"] in self._consumers:
                self._from_generator(self._consumers[message["taskId"]], message)
            elif message["taskId"] in self._tasks:
                self._tasks[message["taskId"]].put(message)

    def _settings(self, parameter: Mapping[str, Any]) -> dict[str, Any]:
        specifier = parameter["pluginConfigSpecifier"]
        given = {f["key"]: f.get("value") for f in specifier["config"]["fields"]}
        return self._configs(given, specifier.get("workingDirectoryPath"))

    def _configs(self, given: Mapping[str, Any], folder: str | None) -> dict[str, Any]:
        return {
            "pluginConfig": kv_config({**self._defaults.get("config", {}), **given}),
            "globalPluginConfig": kv_config(self._defaults.get("global", {})),
            "workingDirectoryPath": folder,
        }

    async def _session(self, channel: Any) -> None:
        if "toolsProvider" not in self._hooks:
            channel.fail("The plugin has no tools.")
            return
        session = f"session-{next(self._ids)}"
        self._consumers[session] = channel
        hook = self._hooks["toolsProvider"]
        hook.send(
            {"type": "initSession", "sessionId": session, **self._settings(channel.parameter)}
        )
        while (message := await channel.next_message())["type"] != "discardSession":
            if message["type"] == "callTool":
                own = f"call-{next(self._ids)}"
                self._calls[own] = (session, message["callId"])
                asked = {"toolName": message["name"], "parameters": message["arguments"]}
                hook.send({"type": "callTool", "sessionId": session, "callId": own, **asked})
            else:
                for own, (_, number) in list(self._calls.items()):
                    if number == message["callId"]:
                        hook.send({"type": "abortToolCall", "sessionId": session, "callId": own})
        hook.send({"type": "discardSession", "sessionId": session})
        channel.close()

    def _from_tools(self, message: Mapping[str, Any]) -> None:
        channel = self._consumers.get(message["sessionId"])
        if channel is None or channel.finished:
            return
        packet = {k: v for k, v in message.items() if k not in ("sessionId", "callId")}
        if message["type"] == "sessionInitialized":
            channel.send({"type": "sessionReady", "toolDefinitions": message["toolDefinitions"]})
        elif message["type"] == "sessionInitializationFailed":
            channel.fail(message["error"])
        elif message["callId"] in self._calls:
            channel.send({**packet, "callId": self._calls[message["callId"]][1]})

    async def _generation(self, channel: Any) -> None:
        if "generator" not in self._hooks:
            channel.fail("The plugin has no generator.")
            return
        task, parameter = f"task-{next(self._ids)}", channel.parameter
        self._consumers[task] = channel
        asked = {"input": parameter["history"], "toolDefinitions": parameter["tools"]}
        settings = self._settings(parameter)
        self._hooks["generator"].send({"type": "generate", "taskId": task, **asked, **settings})
        await channel.next_message()  # a cancel, if anything
        self._hooks["generator"].send({"type": "abort", "taskId": task})

    @staticmethod
    def _from_generator(channel: Any, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "fragmentGenerated":
                given = message["opts"]
                fragment = {
                    "content": message["content"],
                    "tokensCount": given.get("tokenCount", 1),
                    "containsDrafted": given.get("containsDrafted", False),
                    "reasoningType": given.get("reasoningType", "none"),
                    "isStructural": given.get("isStructural", False),
                }
                channel.send({"type": "fragment", "fragment": fragment})
            case "complete" | "aborted":
                channel.send({"type": "success"})
                channel.close()
            case "error":
                channel.fail(message["error"])
            case kind:
                names = {"Started": "Start", "Ended": "End"}
                for old, new in names.items():
                    kind = kind.replace(old, new) if kind.endswith(old) else kind
                more = {k: v for k, v in message.items() if k not in ("type", "taskId", "toolName")}
                name = {"name": message["toolName"]} if "toolName" in message else {}
                channel.send({"type": kind, **more, **name})

    def _updated(self, given: Mapping[str, Any]) -> Any:
        self._updates.append(given["update"])
        return VOID

    def _history(self, given: Mapping[str, Any]) -> Any:
        return {"messages": self._messages if given["includeCurrent"] else self._messages[:-1]}

    def _source(self, _: Any) -> Any:
        return {"tokenSourceIdentifier": {"type": "model", "identifier": self._model}}

    def _has_no_name(self, _: Any) -> bool:
        return self.name is None

    def _has_status(self, _: Any) -> bool:
        ids = [u["id"] for u in self._updates if u["type"] == "status.create"]
        gone = [u["id"] for u in self._updates if u["type"] == "status.remove"]
        return len(ids) > len(gone)

    def _named(self, given: Mapping[str, Any]) -> Any:
        self.name = self.name or given["name"]
        return VOID

    # -- in the test's thread --------------------------------------------------------------------

    def predict(
        self,
        kind: str,
        messages: list[Any],
        config: Mapping[str, Any],
        folder: str | None,
        model: str | None,
    ) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        """Let the plugin work on a prediction: what it completes with, and what it showed.

        Raises:
            LMStudioServerError: It failed, or has no such hook.
            LMStudioCancelledError: It was aborted.
        """
        hook = self._hooks.get(_TASKS[kind])
        if hook is None:
            raise LMStudioServerError(f"The plugin has no {_TASKS[kind]}.")
        self._updates, self._messages, self._model, self.name = (
            [],
            list(messages),
            model or "any",
            None,
        )
        task = f"task-{next(self._ids)}"
        said = self._tasks[task] = Queue[Any]()
        request: dict[str, Any] = {
            "type": kind,
            "taskId": task,
            **({"input": messages[-1]} if kind == "preprocess" else {}),
            "config": kv_config({}),
            "enabledPluginInfos": [],
            "pci": secrets.token_hex(8),
            "token": secrets.token_hex(8),
            **self._configs(config, folder),
        }
        hook.send(request)
        try:
            ended = said.get(timeout=TASK_SECONDS)
        except Empty:
            raise LMStudioTimeoutError(f"The task took longer than {TASK_SECONDS:g} s.") from None
        del self._tasks[task]
        if ended["type"] == "error":
            raise server_error(
                ended["error"], str(HOOKS[_TASKS[kind]]), default=LMStudioServerError
            )
        if ended["type"] == "aborted":
            raise LMStudioCancelledError("The task was aborted.")
        done = {"input": ended.get("processed", messages[-1]), "name": self.name}
        return done, list(self._updates)

    def abort(self) -> None:
        """Abort the predictions that are worked on."""
        for task in list(self._tasks):
            for hook in (self._hooks[name] for name in _TASKS.values() if name in self._hooks):
                hook.send({"type": "abort", "taskId": task})

    def close(self) -> None:
        """Nothing is left: the server ends with its fixture."""
        self._hooks.clear()
