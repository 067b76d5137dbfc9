"""The routes under ``/v1``."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lmstudio_core.lenient import error_text
from lmstudio_server.doors.bodies import read
from lmstudio_server.doors.calls import Caller, model_not_found, specifier
from lmstudio_server.doors.errors import described, invalid, not_implemented
from lmstudio_server.doors.messages import history_of
from lmstudio_server.doors.sse import EventStream, JSONResponse, event
from lmstudio_server.wire.frames import MAX_VALUES, has_too_many_values

from .answers import Answer, Generation, embedding_answer, error_answer, model_object
from .requests import ChatBody, CompletionBody, EmbeddingBody, prediction_fields, prompts, texts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from starlette.requests import Request

    from lmstudio_server.registry import Instance
    from lmstudio_server.services import Services

    Packets = AsyncGenerator[dict[str, Any], None]
    Start = Callable[[], Packets]
    """Begins a prediction."""

__all__ = ["json_body", "routes"]


async def json_body(request: Request) -> object:
    """The JSON of a request."""
    try:
        body = await request.body()
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        if has_too_many_values(text):
            raise invalid(f"The body holds more than {MAX_VALUES:,} values.")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid(f"The body is not valid JSON: {error_text(error)}.") from error


def routes(services: Services) -> list[BaseRoute]:
    """The routes of this API."""
    api = _Api(services)
    return [
        Route("/v1/models", api.models),
        Route("/v1/models/{name:path}", api.model),
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/completions", api.completions, methods=["POST"]),
        Route("/v1/embeddings", api.embeddings, methods=["POST"]),
        Route("/v1/responses", _no_responses, methods=["POST"]),
        Route("/v1/messages", _no_messages, methods=["POST"]),
    ]


async def _no_responses(_request: Request) -> Response:
    raise not_implemented("/v1/responses is not offered here; use /v1/chat/completions.")


async def _no_messages(_request: Request) -> Response:
    raise not_implemented("Anthropic's API is not offered here; use /v1/chat/completions.")


class _Api:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def models(self, _request: Request) -> Response:
        data = [model_object(name, made) for name, made in await self._listed()]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        for known, made in await self._listed():
            if known == name:
                return JSONResponse(model_object(known, made))
        raise await model_not_found(self._services, name)

    async def chat(self, request: Request) -> Response:
        body = read(ChatBody, await json_body(request))
        fields = prediction_fields(body)
        caller = Caller(self._services)
        try:
            history = history_of(body.messages, caller.add_image)
            instance = await caller.ready("llm", body.model, ttl=body.ttl)
            answer = _answer(body, instance, "chatcmpl", body.top_logprobs or 0)
            return await _respond(
                body, answer, [lambda: caller.predict(instance, history, fields)], caller
            )
        except BaseException:
            caller.close()
            raise

    async def completions(self, request: Request) -> Response:
        body = read(CompletionBody, await json_body(request))
        fields = prediction_fields(body)
        given = prompts(body.prompt)
        caller = Caller(self._services)
        instance = await caller.ready("llm", body.model, ttl=body.ttl)
        answer = _answer(body, instance, "cmpl", body.logprobs)

        def start(prompt: str) -> Start:
            return lambda: caller.complete(instance, prompt, fields)

        echoes = given if body.echo else [""] * len(given)
        return await _respond(body, answer, [start(prompt) for prompt in given], caller, echoes)

    async def embeddings(self, request: Request) -> Response:
        body = read(EmbeddingBody, await json_body(request))
        given = texts(body.input, "input")
        if "" in given:
            where = "input" if body.input == "" else f"input[{given.index('')}]"
            raise invalid(f'"{where}": an empty text has no embedding.', where, "invalid_value")
        if body.encoding_format not in (None, "float", "base64"):
            raise invalid(
                '"encoding_format" has to be "float" or "base64".',
                "encoding_format",
                "invalid_value",
            )
        caller = Caller(self._services)
        instance = await caller.ready("embedding", body.model, ttl=body.ttl)
        vectors: list[list[float]] = []
        tokens = 0
        for text in given:
            answer = await caller.call(
                "embedding",
                "embedString",
                {"modelSpecifier": specifier(instance), "inputString": text},
            )
            vectors.append(answer["embedding"])
            if (count := getattr(answer["embedding"], "tokens", None)) is None:
                counting = {"specifier": specifier(instance), "inputString": text}
                counted = await caller.call("embedding", "countTokens", counting)
                count = counted["tokenCount"]
            tokens += count
        _check_dimensions(body.dimensions, vectors)
        as_base64 = body.encoding_format == "base64"
        return JSONResponse(
            embedding_answer(vectors, instance.identifier, tokens, as_base64=as_base64)
        )

    async def _listed(self) -> list[tuple[str, int]]:
        """The names a request may give as its model, with the time of the file."""
        files = await asyncio.to_thread(self._services.library.scan)
        made = {file.key: _time_of(file) for file in files if file.problem is None}
        loaded = [(i.identifier, made.get(i.key, 0)) for i in self._services.registry.instances()]
        return [*made.items(), *((name, time) for name, time in loaded if name not in made)]


def _answer(
    body: ChatBody | CompletionBody, instance: Instance, prefix: str, logprobs: int | None
) -> Answer:
    return Answer(
        id=f"{prefix}-{secrets.token_hex(12)}",
        created=int(time.time()),
        model=instance.identifier,
        chat=isinstance(body, ChatBody),
        include_usage=body.include_usage,
        logprobs=logprobs if body.logprobs not in (None, False) else None,
    )


async def _respond(
    body: ChatBody | CompletionBody,
    answer: Answer,
    starts: Sequence[Start],
    caller: Caller,
    echoes: Sequence[str] = ("",),
) -> Response:
    if body.stream:
        return EventStream(_events(answer, starts, caller, echoes), _error_event)
    try:
        generations = [await _generate(start()) for start in starts]
    finally:
        caller.close()
    return JSONResponse(answer.whole(generations, echoes))


async def _generate(packets: Packets) -> Generation:
    generation = Generation()
    async with aclosing(packets):
        async for packet in packets:
            generation.feed(packet)
    return generation


async def _events(
    answer: Answer, starts: Sequence[Start], caller: Caller, echoes: Sequence[str]
) -> AsyncGenerator[bytes, None]:
    generations: list[Generation] = []
    try:
        for index, start in enumerate(starts):
            generation = Generation()
            generations.append(generation)
            is_first = True
            async with aclosing(start()) as packets:
                async for packet in packets:
                    # Not before the first packet: till then a failure is answered with a status.
                    if is_first:
                        is_first = False
                        for chunk in _encoded(answer.first(index, echoes[index])):
                            yield chunk
                    for chunk in _encoded(answer.next(generation, packet, index)):
                        yield chunk
            for chunk in _encoded(answer.last(generation, index)):
                yield chunk
        for chunk in _encoded(answer.usage(generations)):
            yield chunk
        yield event("[DONE]")
    finally:
        caller.close()


def _encoded(chunks: Iterable[dict[str, Any]]) -> Iterable[bytes]:
    return (event(chunk) for chunk in chunks)


def _error_event(error: Exception) -> bytes:
    return event(error_answer(described(error)))


def _time_of(file: Any) -> int:
    try:
        return int(file.file.stat().st_mtime)
    except OSError:
        return 0


def _check_dimensions(wanted: int | None, vectors: Sequence[Sequence[float]]) -> None:
    size = len(vectors[0])
    if wanted is not None and wanted != size:
        raise invalid(
            f'"dimensions": this model gives {size}, and vectors are not shortened.', "dimensions"
        )
