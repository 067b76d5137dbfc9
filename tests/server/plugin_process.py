"""A plugin's own process: what it does, and a client and threads of this process that do it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from lmstudio_core.client import Client
from lmstudio_plugin import HookRequest, PluginCredentials

MANIFEST = {"owner": "test", "name": "sums"}
NAME = "test/sums"
MULTIPLY = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Given two numbers a and b. Returns the product of them.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
}
HANG = {
    "type": "function",
    "function": {"name": "hang", "parameters": {"type": "object", "properties": {}}},
}
SCHEMATICS = {
    "fields": [
        {
            "shortKey": key,
            "fullKey": f"test.{key}",
            "typeKey": kind,
            "typeParams": {},
            "defaultValue": value,
        }
        for key, kind, value in (
            ("greeting", "string", "hello"),
            ("name", "string", "you"),
            ("fail", "boolean", False),
        )
    ]
}


def values(config: Any) -> dict[str, Any]:
    return {field["key"]: field["value"] for field in config["fields"]}


class Sums:
    """What the plugin does, without I/O: packets in, packets out."""

    def __init__(self) -> None:
        self.seen: list[HookRequest] = []
        self.changed = threading.Condition()

    def wait_for(self, kind: str) -> HookRequest:
        def found() -> HookRequest | None:
            return next((request for request in self.seen if request.type == kind), None)

        with self.changed:
            self.changed.wait_for(found, 30)
            request = found()
        assert request is not None, kind
        return request

    def answer(self, request: HookRequest) -> list[dict[str, Any]]:
        with self.changed:
            self.seen.append(request)
            self.changed.notify_all()
        wire: Any = request.to_dict()
        match request.type:
            case "initSession":
                if values(wire["pluginConfig"]).get("test.fail"):
                    error = {"title": "No key.", "suggestion": "Buy one."}
                    return [self.session(request, "sessionInitializationFailed", error=error)]
                tools = [MULTIPLY, HANG]
                return [self.session(request, "sessionInitialized", toolDefinitions=tools)]
            case "callTool":
                return self.call(request, wire)
            case "generate":
                return self.generate(request, wire)
            case _:
                return []

    def session(self, request: HookRequest, kind: str, **more: Any) -> dict[str, Any]:
        call = {} if request.call_id is None else {"callId": request.call_id}
        return {"type": kind, "sessionId": request.session_id, **call, **more}

    def call(self, request: HookRequest, wire: Mapping[str, Any]) -> list[dict[str, Any]]:
        if wire["toolName"] == "hang":
            return [self.session(request, "toolCallStatus", statusText="hanging")]
        given = wire["parameters"]
        if not isinstance(given.get("a"), (int, float)):
            return [self.session(request, "toolCallError", error={"title": "a is no number"})]
        return [
            self.session(request, "toolCallStatus", statusText="thinking"),
            self.session(request, "toolCallWarn", warnText="it is hot"),
            self.session(request, "toolCallComplete", result=given["a"] * given["b"]),
        ]

    def generate(self, request: HookRequest, wire: Mapping[str, Any]) -> list[dict[str, Any]]:
        def task(kind: str, **more: Any) -> dict[str, Any]:
            return {"type": kind, "taskId": request.task_id, **more}

        (part,) = wire["input"]["messages"][-1]["content"]
        if part["text"] == "fail":
            return [task("error", error={"title": "No idea.", "cause": "I am empty."})]
        thought = {"reasoningType": "reasoning", "tokenCount": 2}
        started = [
            task("fragmentGenerated", content="Hm. ", opts=thought),
            task("fragmentGenerated", content=f"You said {part['text']}", opts={}),
        ]
        if part["text"] == "wait":
            return started
        call = {"type": "function", "name": "multiply", "id": "1", "arguments": {"a": 1}}
        return [
            *started,
            task("toolCallGenerationStarted", toolCallId="1"),
            task("toolCallGenerationNameReceived", toolName="multiply"),
            task("toolCallGenerationArgumentFragmentGenerated", content='{"a": 1}'),
            task("toolCallGenerationEnded", toolCallRequest=call),
            task("toolCallGenerationFailed", error={"title": "x"}),
            task("complete"),
        ]


class Process:
    """A plugin's own process, as a client and two threads of this one."""

    def __init__(self, host: str, credentials: PluginCredentials, *hooks: Any) -> None:
        self.sums = Sums()
        self.client = Client(
            host,
            client_identifier=credentials.client_identifier,
            client_passkey=credentials.client_passkey,
        )
        plugins = self.client.plugins
        plugins.set_config_schematics(SCHEMATICS)
        plugins.set_global_config_schematics({"fields": []})
        self._threads = [
            threading.Thread(target=self._serve, args=(plugins.open_hook(hook),)) for hook in hooks
        ]
        for thread in self._threads:
            thread.start()
        plugins.plugin_init_completed()

    def _serve(self, hook: Any) -> None:
        try:
            for request in hook:
                for packet in self.sums.answer(request):
                    hook.send(packet)
        except Exception:
            return

    def end(self) -> None:
        self.client.close()
        for thread in self._threads:
            thread.join(30)
