"""Read by mypy and pyright, never run: the types that users see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray
from typing_extensions import TypedDict, assert_type

from lmstudio_agent import ActResult, ActRoundStart, ActToolCall, ActToolResult, ToolCallRecord
from lmstudio_core.models.infos import LlmInstanceInfo
from lmstudio_core.plugins.api import (
    AsyncClient,
    AsyncDownloadedModel,
    AsyncModelHandle,
    AsyncNamespace,
    Capability,
    Client,
    DownloadedModel,
    LMStudioServerError,
    SyncModelHandle,
    SyncNamespace,
)
from lmstudio_embed import AsyncEmbeddingModel, EmbeddingMatch, EmbeddingModel, search
from lmstudio_llm import (
    LLM,
    AnyChatMessage,
    AssistantResponse,
    AsyncLLM,
    AsyncPredictionStream,
    Chat,
    ContextUsage,
    DownloadedLlm,
    GbnfGrammar,
    LlmLoadModelConfig,
    LlmPredictionConfig,
    LlmPredictionFragment,
    PredictionEvent,
    PredictionResult,
    PredictionStream,
    ToolCallRequest,
    UserMessage,
)

ratios: list[float] = []


class SampleNamespace(SyncNamespace): ...


class AsyncSampleNamespace(AsyncNamespace): ...


SAMPLE: Capability[SampleNamespace, AsyncSampleNamespace] = Capability("sample", "a:B", "a:C")


class Book(pydantic.BaseModel):
    title: str


@dataclass
class DataBook:
    title: str


class DictBook(TypedDict):
    title: str


SCHEMA: dict[str, Any] = {"type": "object"}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def sync(model: LLM, chat: Chat) -> None:
    assert_type(model.respond("hi"), PredictionResult[str])
    assert_type(model.respond(chat, config={"maxTokens": 5}), PredictionResult[str])
    assert_type(
        model.respond({"messages": []}, tools=[add], tool_choice="auto"), PredictionResult[str]
    )
    assert_type(model.respond("hi", response_format=Book), PredictionResult[Book])
    assert_type(model.respond("hi", response_format=Book).value, Book)
    assert_type(model.respond("hi", response_format=DataBook).value, DataBook)
    assert_type(model.respond("hi", response_format=DictBook).value, DictBook)
    assert_type(model.respond("hi", response_format=SCHEMA).value, dict[str, Any])
    assert_type(model.respond("hi", response_format=GbnfGrammar("")).value, str)
    assert_type(model.complete("x", response_format=Book), PredictionResult[Book])
    model.respond("hi", on_message=chat.append, on_prediction_fragment=print, preset="p")
    stream = model.respond_stream("hi", response_format=Book)
    assert_type(stream, PredictionStream[Book])
    for fragment in stream:
        assert_type(fragment, LlmPredictionFragment)
    for event in stream.events():
        assert_type(event, PredictionEvent)
    assert_type(stream.result().value, Book)
    assert_type(model.complete_stream("x"), PredictionStream[str])
    assert_type(model.get_info(), LlmInstanceInfo)
    assert_type(model.get_load_config(), LlmLoadModelConfig)
    assert_type(model.apply_prompt_template(chat), str)
    assert_type(chat.add_user_message("x"), UserMessage)
    assert_type(
        model.respond("hi", response_format=Book, retries=2, timeout=5).value,
        Book,
    )
    assert_type(model.complete("x", idle_timeout=1.5, timeout=None), PredictionResult[str])
    assert_type(model.complete_stream("x", timeout=1), PredictionStream[str])
    assert_type(model.count_tokens("x", timeout=1), int)
    assert_type(model.tokenize(["x"], timeout=1), list[list[int]])
    assert_type(model.get_context_usage(chat, tools=[add]), ContextUsage)
    assert_type(Chat.from_openai(chat.to_openai()), Chat)
    model.respond_stream("hi", retries=1)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    model.count_tokens("x", tmeout=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


async def aio(model: AsyncLLM, chat: Chat) -> None:
    assert_type(await model.respond(chat), PredictionResult[str])
    assert_type((await model.respond(chat, response_format=Book)).value, Book)
    stream = model.respond_stream("hi", response_format=Book)
    assert_type(stream, AsyncPredictionStream[Book])
    assert_type(await stream, AsyncPredictionStream[Book])
    async for fragment in stream:
        assert_type(fragment, LlmPredictionFragment)
    async for fragment in await model.complete_stream("x"):
        assert_type(fragment.content, str)
    assert_type((await stream.wait_for_result()).value, Book)
    assert_type(stream.result(), PredictionResult[Book])
    assert_type(await model.get_info(), LlmInstanceInfo)
    assert_type(await model.get_context_usage(chat, timeout=1), ContextUsage)
    assert_type((await model.respond("x", response_format=Book, retries=1, timeout=1)).value, Book)
    assert_type(model.respond_stream("x", idle_timeout=1), AsyncPredictionStream[str])


def configs() -> None:
    LlmPredictionConfig(max_tokens=False, temperature=0.5, stop_strings=["x"])
    LlmLoadModelConfig(
        offload_kv_cache_to_gpu=True, use_fp16_for_kv_cache=True, try_direct_io=False
    )
    LlmPredictionConfig.parse({"maxTokens": 5})


def kinds(model: LLM) -> None:
    assert_type(model.respond("hi", response_format=list[Book]).value, list[Book])
    assert_type(model.respond("hi", response_format=dict[str, Book]).value, dict[str, Book])
    assert_type(model.respond("hi", response_format=int).value, int)
    adapter = pydantic.TypeAdapter(list[Book])
    assert_type(model.respond("hi", response_format=adapter).value, list[Book])
    assert_type(
        model.respond("hi", response_format={"type": "object", "properties": {}}).value,
        dict[str, Any],
    )
    for book in model.respond_stream("hi", response_format=Book).partials():
        assert_type(book, Book)


def agents(model: LLM) -> None:
    assert_type(model.act("hi", [add]), ActResult[str])
    assert_type(model.act("hi", [add], response_format=Book).value, Book)
    assert_type(model.act("hi", [add], response_format=list[Book]).value, list[Book])
    assert_type(model.act("hi", [add], response_format=SCHEMA).value, dict[str, Any])
    stream = model.act_stream("hi", [add], response_format=Book)
    for event in stream:
        if isinstance(event, ActToolCall):
            assert_type(event.name, str)
        elif isinstance(event, ActToolResult):
            assert_type(event.record, ToolCallRecord)
        elif isinstance(event, LlmPredictionFragment):
            assert_type(event.content, str)
        elif isinstance(event, ActRoundStart):
            assert_type(event.round_index, int)
    assert_type(stream.result().value, Book)


async def agents_aio(model: AsyncLLM) -> None:
    assert_type((await model.act("hi", [add], response_format=list[Book])).value, list[Book])
    async for event in model.act_stream("hi", [add]):
        if isinstance(event, ActToolCall):
            assert_type(event.name, str)


def embeddings(model: EmbeddingModel) -> None:
    assert_type(model.embed("hi"), list[float])
    assert_type(model.embed(["hi"]), list[list[float]])
    assert_type(model.embed(text for text in ("hi",)), list[list[float]])
    assert_type(model.embed(["hi"], on_error="return"), list[list[float] | LMStudioServerError])
    one: NDArray[np.float32] = model.embed("hi", as_array=True)
    many: NDArray[np.float32] = model.embed(["hi"], as_array=True)
    assert_type(model.embed(["hi"], as_array=True).ndim, int)
    for vector in model.embed_stream(["hi"]):
        assert_type(vector, list[float])
    for row in model.embed_stream(["hi"], as_array=True):
        one = row
    assert_type(search(model.embed("hi"), many), list[EmbeddingMatch])
    print(one)


async def embeddings_aio(model: AsyncEmbeddingModel) -> None:
    assert_type(await model.embed("hi"), list[float])
    assert_type(await model.embed(["hi"]), list[list[float]])
    _: NDArray[np.float32] = await model.embed("hi", as_array=True)


def models(client: Client) -> None:
    assert_type(client.llm.list_loaded(), list[LLM])
    assert_type(client.list_loaded_models("llm"), list[LLM])
    assert_type(client.list_loaded_models("embedding"), list[EmbeddingModel])
    assert_type(client.list_loaded_models(), list[SyncModelHandle])
    assert_type(client.list_downloaded_models("llm"), list[DownloadedLlm])
    assert_type(client.list_downloaded_models(), list[DownloadedModel])
    assert_type(client.models.list_downloaded(), list[DownloadedModel])
    assert_type(client.llm.list_downloaded()[0].model(), LLM)
    assert_type(client.llm.model("hi", on_load_progress=ratios.append), LLM)
    assert_type(client.capability(SAMPLE), SampleNamespace)


async def models_aio(client: AsyncClient) -> None:
    assert_type(await client.llm.list_loaded(), list[AsyncLLM])
    assert_type(await client.list_loaded_models("llm"), list[AsyncLLM])
    assert_type(await client.list_loaded_models(), list[AsyncModelHandle])
    assert_type(await client.list_downloaded_models(), list[AsyncDownloadedModel])
    assert_type(await (await client.llm.list_downloaded())[0].model(), AsyncLLM)
    assert_type(client.capability(SAMPLE), AsyncSampleNamespace)


def callbacks(model: LLM) -> None:
    def heard(message: AssistantResponse) -> None: ...
    def seen(message: AnyChatMessage) -> int:
        return len(str(message))

    def read(fragment: LlmPredictionFragment) -> None: ...
    def allowed(request: ToolCallRequest) -> str | None:
        return request.name or None

    model.respond("hi", on_message=heard, on_prediction_fragment=read)
    model.act("hi", [add], on_message=seen, guard_tool_call=allowed)
