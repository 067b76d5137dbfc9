"""Read by mypy and pyright, never run: the types that users see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
from typing_extensions import TypedDict, assert_type

from lmstudio_core.models.infos import LlmInstanceInfo
from lmstudio_llm import (
    LLM,
    AsyncLLM,
    AsyncPredictionStream,
    Chat,
    ContextUsage,
    GbnfGrammar,
    LlmLoadModelConfig,
    LlmPredictionConfig,
    LlmPredictionFragment,
    PredictionEvent,
    PredictionResult,
    PredictionStream,
    UserMessage,
)


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
