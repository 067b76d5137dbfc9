"""Read by mypy and pyright, never run: ``mistakes.py`` without its mistakes; both are silent."""

from __future__ import annotations

import dataclasses

import pydantic

import lmstudio as lms
import lmstudio_core
import lmstudio_embed
import lmstudio_llm
import lmstudio_server.testing


class Book(pydantic.BaseModel):
    title: str


@dataclasses.dataclass
class Note:
    text: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def names(client: lms.Client) -> None:
    print(client.llm, client.embedding, lmstudio_llm.LLM)
    lmstudio_core.Client()
    lmstudio_core.llm("x").respond("Hello")
    lmstudio_embed.embedding_model("x")
    lmstudio_server.testing.running_server()
    client.llm.model("x")
    client.models.list_downloaded()
    lms.Chat().add_user_message("Hello")
    from lmstudio import LLM
    from lmstudio.sync_api import Client

    print(LLM, Client)


def prediction_configs(model: lms.LLM) -> None:
    model.respond("Hello", config={"maxTokens": 3})
    model.respond("Hello", config={"temperature": 0})
    model.respond("Hello", config={"max_tokens": 3, "topPSampling": 0.9})
    model.respond("Hello", config={"stopStrings": ["end"]}, timeout=5)
    model.respond_stream("Hello", config={"topKSampling": 3})
    model.complete("Hello", config={"topPSampling": 0.9})
    model.complete_stream("Hello", config={"seed": 1})
    model.act("Hello", [add], config={"temperature": 0.5})
    model.act_stream("Hello", [add], config={"draftModel": "small"})
    model.respond("Hello", config={"toolChoice": "auto"})
    model.respond("Hello", config={"contextOverflowPolicy": "stopAtLimit"})
    model.respond("Hello", config={"reasoningParsing": {"enabled": True, "startString": "<t>"}})
    model.respond("Hello", config={"structured": Book, "maxTokens": False})
    model.respond("Hello", config={"structured": {"type": "json", "json_schema": {}}, "raw": {}})
    model.respond("Hello", config=lms.LlmPredictionConfig(max_tokens=3, temperature=0.5))
    config: lms.LlmPredictionConfigDict = {"maxTokens": 3}
    config["temperature"] = 0.5
    model.respond("Hello", config=config)


def load_configs(client: lms.Client) -> None:
    lms.llm("x", config={"contextLength": 5})
    lms.llm("x", ttl=60)
    client.llm.model("x", config={"context_length": 5, "gpu": {"ratio": 0.5, "mainGpu": 1}})
    client.llm.model("x", config={"gpu": lms.GpuSetting(ratio="max")})
    client.llm.model("x", config=lms.LlmLoadModelConfig(context_length=5))
    client.llm.load_new_instance("x", config={"flash_attention": True, "tryDirectIO": True})
    client.llm.estimate_resources("x", {"contextLength": 5})
    client.llm.list_downloaded()[0].model(config={"contextLength": 5})
    lms.embedding_model("x", config={"contextLength": 5})
    client.embedding.model("x", config={"tryMmap": True})
    client.embedding.load_new_instance("x", config={"gpu": {"ratio": "max"}})
    client.embedding.list_downloaded()[0].load_new_instance(config={"try_mmap": True})
    lms.GpuSetting(ratio=0.5)


def arguments(client: lms.Client, model: lms.LLM, embedder: lms.EmbeddingModel) -> None:
    lms.Client(api_host="localhost:1234", ping_interval=20)
    lms.configure_default_client("localhost:1234")
    lms.set_sync_api_timeout(5)
    lms.list_loaded_models("llm")
    client.list_downloaded_models("embedding")
    chat = lms.Chat("Be brief.")
    model.respond(chat, config={}, tool_choice="auto", tools=[add])
    messages = [{"role": "user", "content": "Hello"}]
    model.respond(messages)
    model.respond({"messages": []})
    model.respond({"messages": [{"role": "user", "content": "Hello"}]})
    model.respond("Hello", on_first_token=lambda: None, on_message=chat.append)
    model.respond("Hello", on_prediction_fragment=lambda fragment: print(fragment.content))
    model.respond("Hello", retries=1)
    model.act("Hello", [add], max_prediction_rounds=3, on_message=chat.append)
    model.act("Hello", [add], on_round_start=lambda index: print(index))
    model.apply_prompt_template("Hello", {"omitBosToken": True, "tool_definitions": [add]})
    model.tokenize("Hello")
    client.llm.get_model_info("x")
    client.llm.get_model_info(model)
    client.llm.get_model_info({"identifier": "x"})
    embedder.embed("Hello", as_array=True, chunk=lmstudio_embed.Chunking(pool="max"))
    embedder.embed(["Hello"], on_error="skip")
    client.prepare_image("picture.png")
    chat.append({"role": "user", "content": "Hello"})
    chat.append({"role": "assistant", "content": None, "tool_calls": []})
    chat.append({"role": "tool", "content": "5", "tool_call_id": "1"})
    chat.add_entry("user", "Hello")
    chat.add_user_message(["Look:", client.prepare_image(b"...")])
    lms.ToolFunctionDef(name="add", description="", parameters={}, implementation=add)


def results(model: lms.LLM, embedder: lms.EmbeddingModel) -> None:
    print(model.respond("Hello").content, model.respond("Hello").stats.tokens_per_second)
    print(model.respond("Hello", response_format=Book).value.title)
    print(model.respond("Hello", response_format=list[Book]).value[0].title)
    print(model.respond("Hello", response_format=Note).value.text)
    print(model.act("Hello", [add], response_format=Book).value.title)
    print(model.respond("Hello").value.title())
    for fragment in model.respond_stream("Hello"):
        print(fragment.content)
    for event in model.act_stream("Hello", [add]):
        if isinstance(event, lms.ActToolCall):
            print(event.arguments, event.round_index)
        elif isinstance(event, lms.LlmPredictionFragment):
            print(event.content)
    print(embedder.embed("Hello")[0] + 1.5, embedder.embed(["Hello"])[0][0] + 1.5)
    print(embedder.embed(["Hello"], as_array=True).tolist())
    print(model.get_info().context_length, model.get_load_config().context_length)
    print(model.base_prediction_config().max_tokens)
    for loaded in lms.list_loaded_models():
        if isinstance(loaded, lms.LLM):
            loaded.respond("Hello")
        print(loaded.identifier, loaded.get_info().identifier)
    lms.list_loaded_models("llm")[0].respond("Hello")
    print(
        lms.list_downloaded_models()[0].model_key, lms.list_downloaded_models("llm")[0].info.vision
    )


async def asynchronous(client: lms.AsyncClient, model: lms.AsyncLLM) -> None:
    await model.respond("Hello", config={"maxTokens": 3})
    await model.unload()
    await client.llm.list_loaded()
    await client.aclose()
    await (await client.llm.model("x", config={"contextLength": 5})).respond("Hello")
    print((await model.respond("Hello", response_format=Book)).value.title)
    async for fragment in model.respond_stream("Hello"):
        print(fragment.content)
    async with lms.AsyncClient():
        pass
    await client.list_loaded_models("llm")
