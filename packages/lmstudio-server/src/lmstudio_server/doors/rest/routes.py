"""The routes under ``/api/v1``."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lmstudio_server.doors.bodies import read
from lmstudio_server.doors.calls import Caller, last, stack
from lmstudio_server.doors.errors import DoorError, described
from lmstudio_server.doors.messages import history_of
from lmstudio_server.doors.openai.routes import json_body
from lmstudio_server.doors.sse import EventStream, JSONResponse, event

from .answers import ChatEvents, error_answer, load_answer, model_answer
from .chats import Chats
from .downloads import download_routes
from .integrations import plugins_of, predict
from .requests import ChatBody, LoadBody, UnloadBody, load_fields, message_of, prediction_fields

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from lmstudio_server.registry import Instance
    from lmstudio_server.services import Services

__all__ = ["routes"]

Json = dict[str, Any]


def routes(services: Services) -> list[BaseRoute]:
    """The routes of this API."""
    api = _Api(services)
    return [
        Route("/api/v1/models", api.models),
        Route("/api/v1/models/load", api.load, methods=["POST"]),
        Route("/api/v1/models/unload", api.unload, methods=["POST"]),
        *download_routes(services),
        Route("/api/v1/chat", api.chat, methods=["POST"]),
    ]


class _Api:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._chats = Chats()

    async def models(self, _request: Request) -> Response:
        files = await asyncio.to_thread(self._services.library.scan)
        loaded = self._services.registry.instances()
        models = [model_answer(file, loaded) for file in files if file.problem is None]
        return JSONResponse({"models": models})

    async def load(self, request: Request) -> Response:
        body = read(LoadBody, await json_body(request))
        caller = Caller(self._services)
        started = time.monotonic()
        file = await caller.file(body.model)
        parameter: Json = {
            "modelKey": file.key,
            "loadConfigStack": stack(load_fields(body, file.kind)),
        }
        if body.identifier is not None:
            parameter["identifier"] = body.identifier
        if body.ttl is not None:
            parameter["ttlMs"] = max(1, int(body.ttl * 1000))
        instance = caller.instance(await last(caller.packets(file.kind, "loadModel", parameter)))
        answer: Json = {
            "type": file.kind,
            "instance_id": instance.identifier,
            "model_instance_id": instance.identifier,
            "load_time_seconds": round(time.monotonic() - started, 3),
            "status": "loaded",
        }
        config = load_answer(instance)
        # Two versions of LM Studio's documentation name it differently.
        answer["config"] = config
        if body.echo_load_config:
            answer["load_config"] = config
        return JSONResponse(answer)

    async def unload(self, request: Request) -> Response:
        body = read(UnloadBody, await json_body(request))
        instance = self._services.registry.by_identifier(body.instance_id)
        if instance is None:
            loaded = ", ".join(i.identifier for i in self._services.registry.instances())
            raise DoorError(
                404,
                f'No loaded instance is called "{body.instance_id[:200]}". Loaded: {loaded or "none"}.',
                "model_not_found",
                "instance_id",
            )
        await self._services.registry.unload(instance)
        return JSONResponse({"instance_id": body.instance_id})

    async def chat(self, request: Request) -> Response:
        body = read(ChatBody, await json_body(request))
        turn = _Turn(self._services, self._chats, body)
        if body.stream:
            return EventStream(turn.stream(), _error_event)
        async with aclosing(turn.events()) as events:
            async for _ in events:
                pass
        return JSONResponse(turn.result())


class _Turn:
    """One request of a chat: the model is loaded, it answers, and the answer is remembered."""

    def __init__(self, services: Services, chats: Chats, body: ChatBody) -> None:
        self._caller = Caller(services)
        self._chats = chats
        self._body = body
        self._plugins = plugins_of(body.integrations)
        for plugin in self._plugins:
            services.plugins.find(plugin["identifier"])  # before anything is loaded
        message = message_of(body.input)
        before = () if body.previous_response_id is None else chats.find(body.previous_response_id)
        if body.system_prompt is not None:
            system = {"role": "system", "content": body.system_prompt}
            before = (system, *(m for m in before if m["role"] != "system"))
        self._messages = (*before, message)
        self._fold = ChatEvents("")
        self._started = False
        self._loading_since = time.monotonic()

    def result(self) -> Json:
        """The whole answer."""
        return self._fold.result()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The events as they are sent."""
        async with aclosing(self.events()) as events:
            async for data in events:
                yield event(data, data["type"])
        yield event({"type": "chat.end", "result": self.result()}, "chat.end")

    async def events(self) -> AsyncGenerator[Json, None]:
        """Everything that happens, but for the end."""
        caller, body = self._caller, self._body
        try:
            file = await caller.file(body.model)
            fields = prediction_fields(body, reasons=file.reasoning)
            history = history_of(list(self._messages), caller.add_image)
            loaded: Json = {}
            async with aclosing(self._loading()) as packets:
                async for loaded in packets:
                    for data in self._load_events(loaded):
                        yield data
            instance = caller.instance(loaded)
            self._fold.model_instance_id = instance.identifier
            async with aclosing(self._predicted(instance, history, fields)) as predicted:
                async for packet in predicted:
                    for data in (*self._start(), *self._fold.feed(packet)):
                        yield data
            self._remember()
        finally:
            caller.close()

    def _predicted(
        self, instance: Instance, history: Json, fields: Json
    ) -> AsyncGenerator[Any, None]:
        if self._plugins:
            return predict(self._caller, instance, history, fields, self._plugins)
        return self._caller.predict(instance, history, fields)

    def _loading(self) -> AsyncGenerator[Json, None]:
        body = self._body
        length = body.context_length
        config = {} if length is None else {"llm.load.contextLength": length}
        return self._caller.loading("llm", body.model, ttl=body.ttl, load_config=config)

    def _start(self) -> list[Json]:
        # Not before the first packet where nothing has to be loaded: till then a failure is
        # answered with a status.
        if self._started:
            return []
        self._started = True
        return [{"type": "chat.start", "model_instance_id": self._fold.model_instance_id}]

    def _load_events(self, packet: Json) -> list[Json]:
        fold = self._fold
        if packet["type"] == "startLoading":
            fold.model_instance_id = packet["identifier"]
            start = {"type": "model_load.start", "model_instance_id": fold.model_instance_id}
            return [*self._start(), start]
        if packet["type"] == "loadProgress":
            done: Json = {"type": "model_load.progress", "progress": packet["progress"]}
            return [{**done, "model_instance_id": fold.model_instance_id}]
        if packet["type"] == "loadSuccess":
            fold.model_instance_id = packet["info"]["identifier"]
            fold.load_seconds = round(time.monotonic() - self._loading_since, 3)
            end: Json = {"type": "model_load.end", "load_time_seconds": fold.load_seconds}
            return [{**end, "model_instance_id": fold.model_instance_id}]
        return []

    def _remember(self) -> None:
        if self._body.store is False:
            return
        answer = {"role": "assistant", "content": self._fold.text()}
        added = len(str(self._messages[-1])) + len(answer["content"])
        self._fold.response_id = self._chats.new_id()
        self._chats.keep(self._fold.response_id, (*self._messages, answer), added)


def _error_event(error: Exception) -> bytes:
    return event({"type": "error", **error_answer(described(error))}, "error")
