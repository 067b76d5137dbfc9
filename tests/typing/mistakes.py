"""Read by mypy and pyright, never run: every line marked ``# mistake`` is to be an error to both.

The same program without its mistakes is ``right.py``, in which neither finds anything.
"""

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
    lms.respnd("Hello")  # mistake
    client.lmm  # mistake
    client.embeddings  # mistake
    lmstudio_core.Clint()  # mistake
    lmstudio_core.llm("x").respnd("Hello")  # mistake
    lmstudio_llm.LMM  # mistake
    lmstudio_embed.embeding_model("x")  # mistake
    lmstudio_server.testing.runing_server()  # mistake
    client.llm.modle("x")  # mistake
    client.system.list_download()  # mistake
    lms.Chat().add_user_mesage("Hello")  # mistake


def prediction_configs(model: lms.LLM) -> None:
    model.respond("Hello", config={"maxToken": 3})  # mistake
    model.respond("Hello", config={"temperature": "hot"})  # mistake
    model.respond("Hello", config={"max_token": 3})  # mistake
    model.respond("Hello", config={"stopStrings": "end"}, timeout="5")  # mistake
    model.respond_stream("Hello", config={"topK": 3})  # mistake
    model.complete("Hello", config={"topPSampling": "0.9"})  # mistake
    model.complete_stream("Hello", config={"seed": "1"})  # mistake
    model.act("Hello", [add], config={"temprature": 0.5})  # mistake
    model.act_stream("Hello", [add], config={"draftModel": 5})  # mistake
    model.respond("Hello", config={"toolChoice": "always"})  # mistake
    model.respond("Hello", config={"contextOverflowPolicy": "stop"})  # mistake
    model.respond("Hello", config={"reasoningParsing": {"enable": True}})  # mistake
    lms.LlmPredictionConfig(max_token=3)  # mistake
    lms.LlmPredictionConfig(temperature="hot")  # mistake


def load_configs(client: lms.Client) -> None:
    lms.llm("x", config={"contextLenght": 5})  # mistake
    client.llm.model("x", config={"contextLength": "long"})  # mistake
    client.llm.model("x", config={"gpu": {"ration": 0.5}})  # mistake
    client.llm.model("x", config=lms.EmbeddingLoadModelConfig())  # mistake
    client.llm.load_new_instance("x", config={"flash_atention": True})  # mistake
    client.llm.estimate_resources("x", {"contextLenght": 5})  # mistake
    client.llm.list_downloaded()[0].model(config={"contextLenght": 5})  # mistake
    lms.embedding_model("x", config={"contextLenght": 5})  # mistake
    client.embedding.model("x", config={"flashAttention": True})  # mistake
    client.embedding.load_new_instance("x", config={"gpu": {"ratio": "most"}})  # mistake
    client.embedding.list_downloaded()[0].load_new_instance(config={"tryMap": True})  # mistake
    lms.LlmLoadModelConfig(context_length="long")  # mistake
    lms.GpuSetting(ratio="all")  # mistake
    lms.llm("x", ttl="60")  # mistake


def arguments(client: lms.Client, model: lms.LLM, embedder: lms.EmbeddingModel) -> None:
    lms.Client(api_hots="localhost:1234")  # mistake
    lms.Client(ping_interval="20")  # mistake
    lms.configure_default_client(1234)  # mistake
    lms.set_sync_api_timeout("5")  # mistake
    lms.list_loaded_models("lmm")  # mistake
    client.list_downloaded_models("embeddings")  # mistake
    model.respond(5)  # mistake
    model.respond("Hello", confg={})  # mistake
    model.respond("Hello", tool_choice="allways")  # mistake
    model.respond({"message": []})  # mistake
    model.respond({"messages": [{"role": "usr", "content": "Hello"}]})  # mistake
    model.respond("Hello", on_first_token=lambda token: None)  # mistake
    model.respond("Hello", on_prediction_fragment=lambda: None)  # mistake
    model.respond_stream("Hello", retries=1)  # mistake
    model.act("Hello", add)  # mistake
    model.act("Hello", [add], max_rounds=3)  # mistake
    model.act("Hello", [add], on_round_start=lambda: None)  # mistake
    model.act("Hello", [add], max_prediction_rounds="3")  # mistake
    model.apply_prompt_template("Hello", {"omitBos": True})  # mistake
    model.tokenize(5)  # mistake
    client.llm.get_model_info(5)  # mistake
    client.llm.get_model_info({"identifer": "x"})  # mistake
    embedder.embed(5)  # mistake
    embedder.embed("Hello", as_aray=True)  # mistake
    embedder.embed(["Hello"], on_error="ignore")  # mistake
    embedder.embed("Hello", chunk=lms.Chunking(pool="sum"))  # mistake
    client.prepare_image(5)  # mistake
    lms.Chat(5)  # mistake
    lms.Chat().append({"role": "usr", "content": "Hello"})  # mistake
    lms.Chat().append("Hello")  # mistake
    lms.Chat().add_entry("usr", "Hello")  # mistake
    lms.Chat().add_user_message(5)  # mistake
    lms.ToolFunctionDef(name="add", descripton="", parameters={}, implementation=add)  # mistake


def results(model: lms.LLM, embedder: lms.EmbeddingModel) -> None:
    model.respond("Hello").contnt  # mistake
    model.respond("Hello").stats.tokens_per_sec  # mistake
    model.respond("Hello", response_format=Book).value.titel  # mistake
    model.respond("Hello", response_format=list[Book]).value.title  # mistake
    model.respond("Hello", response_format=Note).value.txt  # mistake
    model.act("Hello", [add], response_format=Book).value.titel  # mistake
    model.respond("Hello").value.titel  # mistake
    for fragment in model.respond_stream("Hello"):
        fragment.contents  # mistake
    for event in model.act_stream("Hello", [add]):
        event.round_index  # mistake
        if isinstance(event, lms.ActToolCall):
            event.argumens  # mistake
    embedder.embed("Hello")[0][0]  # mistake
    embedder.embed(["Hello"])[0].tolist()  # mistake
    model.get_info().context_lenght  # mistake
    model.get_load_config().context_lenght  # mistake
    model.base_prediction_config().max_token  # mistake
    lms.list_loaded_models()[0].identifer  # mistake
    lms.list_loaded_models("llm")[0].embed("Hello")  # mistake
    lms.list_downloaded_models()[0].modle_key  # mistake
    lms.list_downloaded_models("embedding")[0].info.vision  # mistake


async def asynchronous(client: lms.AsyncClient, model: lms.AsyncLLM) -> None:
    model.respond("Hello")  # mistake
    model.unload()  # mistake
    client.llm.list_loaded()  # mistake
    client.aclose()  # mistake
    (await client.llm.model("x", config={"contextLenght": 5})).respond  # mistake
    await model.respond("Hello", config={"maxToken": 3})  # mistake
    model.respond("Hello").content  # mistake
    (await model.respond("Hello", response_format=Book)).value.titel  # mistake
    for fragment in model.respond_stream("Hello"):  # mistake
        pass
    with lms.AsyncClient():  # mistake
        pass
    client.lmm  # mistake
    await client.list_loaded_models("lmm")  # mistake
