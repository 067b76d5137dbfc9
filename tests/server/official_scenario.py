"""What a program written for the official SDK does, from its documentation. Run by its own Python.

``python official_scenario.py HOST:PORT`` prints ``ok`` at the end.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from typing import TYPE_CHECKING, Any

import lmstudio as lms

if TYPE_CHECKING:
    from collections.abc import Callable


PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def refused(call: Callable[[], object], words: str) -> None:
    try:
        call()
    except lms.LMStudioServerError as caught:
        error = caught
    else:
        raise AssertionError("an error was expected")
    assert words in str(error), error


def model_not_found(call: Callable[[], object]) -> lms.LMStudioModelNotFoundError:
    """The error that the SDK makes of the display code for models."""
    try:
        call()
    except lms.LMStudioModelNotFoundError as error:
        return error
    raise AssertionError("an error was expected")


def models(client: lms.Client) -> None:
    keys = {model.model_key for model in client.list_downloaded_models()}
    assert {"pocket", "pocket-think", "pocket-embedding"} <= keys, keys
    progress: list[float] = []
    model = client.llm.model("pocket", on_load_progress=progress.append)
    assert progress[0] == 0.0, progress
    assert progress[-1] == 1.0, progress
    assert [loaded.identifier for loaded in client.llm.list_loaded()] == ["pocket"]
    assert model.get_info().identifier == "pocket"
    assert model.get_context_length() > 0
    assert model.get_load_config().context_length == model.get_context_length()
    second = client.llm.load_new_instance("pocket", "mine", ttl=60, config={"contextLength": 512})
    assert second.get_context_length() == 512
    second.unload()
    raised = model_not_found(lambda: second.respond("hi"))
    assert "mine" in str(raised), raised
    refused(lambda: client.llm.load_new_instance("pocket", "pocket"), "already exists")
    refused(lambda: client.llm.model("pocke"), "Did you mean")
    refused(lambda: client.llm.unload("nobody"), "nobody")
    refused(lambda: client.embedding.model("pocket"), "not an embedding model")


def predictions(client: lms.Client) -> None:
    model = client.llm.model("pocket")
    answer = model.respond("What is the meaning of life?")
    assert "42" in answer.content, answer.content
    assert answer.stats.stop_reason == "eosFound"
    assert answer.stats.prompt_tokens_count > 0
    chat = lms.Chat("You are a helpful assistant.")
    chat.add_user_message("What is the capital of France?")
    progress: list[float] = []
    stream = model.respond_stream(
        chat, on_message=chat.append, on_prompt_processing_progress=progress.append
    )
    text = "".join(fragment.content for fragment in stream)
    assert text == stream.result().content
    assert "Paris" in text, text
    assert progress[-1] == 1.0, progress
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
        "required": ["title", "year"],
    }
    book = model.respond("Tell me about a book.", response_format=schema).parsed
    assert isinstance(book["title"], str), book
    assert isinstance(book["year"], int), book
    short = model.complete("Once upon a time", config={"maxTokens": 3})
    assert short.stats.stop_reason == "maxPredictedTokensReached"
    assert short.stats.predicted_tokens_count == 3
    stopped = model.respond("What is the capital of France?", config={"stopStrings": ["Paris"]})
    assert stopped.stats.stop_reason == "stopStringFound"
    assert "Paris" not in stopped.content
    # The pocket model is quick; only a grammar keeps it busy long enough to be interrupted.
    strings = {"type": "array", "items": {"type": "string", "minLength": 1000}, "minItems": 100}
    long = {"type": "object", "properties": {"a": strings}, "required": ["a"]}
    rolling: Any = {"contextOverflowPolicy": "rollingWindow"}
    stream = model.respond_stream("Go on.", response_format=long, config=rolling)
    for number, _fragment in enumerate(stream):
        if number == 1:
            stream.cancel()
    assert stream.result().stats.stop_reason == "userStopped"
    thought = client.llm.model("pocket-think").respond_stream("Is 7 a prime?")
    kinds = {fragment.reasoning_type for fragment in thought}
    assert "reasoning" in kinds, kinds
    note = client.files.prepare_image(PIXEL, "pixel.png")
    assert note.file_type == "image", note
    chat = lms.Chat()
    chat.add_user_message("What is this?", images=[note])
    refused(lambda: model.respond(chat), "cannot see images")
    seeing = client.llm.model("seeing")
    assert seeing.get_info().vision
    seen = seeing.respond(chat, config={"maxTokens": 5})
    assert seen.content, seen
    # A picture takes sixteen tokens; a text of as many words fewer.
    blind = seeing.respond("What is this?", config={"maxTokens": 5})
    assert (seen.stats.prompt_tokens_count or 0) >= (blind.stats.prompt_tokens_count or 0) + 16
    broken = lms.Chat()
    broken.add_user_message("?", images=[client.files.prepare_image(PIXEL[:20], "broken.png")])
    refused(lambda: seeing.respond(broken), "cannot be read")
    seeing.unload()
    drafted = model.respond("Tell me a story.", config={"draftModel": "pocket", "maxTokens": 40})
    assert drafted.stats.used_draft_model_key == "pocket", drafted.stats
    assert (drafted.stats.accepted_draft_tokens_count or 0) > 0, drafted.stats
    refused(
        lambda: model.respond("Hi.", config={"draftModel": "pocket-embedding"}), "embedding model"
    )


def tools_and_tokens(client: lms.Client) -> None:
    model = client.llm.model("pocket")
    said: list[object] = []
    done = model.act("What is 12345 multiplied by 54321?", [multiply], on_message=said.append)
    assert done.rounds == 2, said
    assert "670592745" in str(said[-1]), said
    tokens = model.tokenize("hello world")
    assert len(tokens) == model.count_tokens("hello world") > 0
    assert len(model.tokenize(["a", "b"])) == 2
    assert "hi" in model.apply_prompt_template("hi")
    embedding = client.embedding.model("pocket-embedding")
    vectors = embedding.embed(["one", "two"])
    assert len(vectors) == 2
    assert len(vectors[0]) == len(embedding.embed("one")) > 0
    assert embedding.count_tokens("one") > 0
    embedding.unload()
    model.unload()
    assert [loaded.identifier for loaded in client.list_loaded_models()] == ["pocket-think"]


async def asynchronous(host: str) -> None:
    async with lms.AsyncClient(host) as client:
        model = await client.llm.model("pocket")
        stream = await model.respond_stream("What is the capital of France?")
        text = "".join([fragment.content async for fragment in stream])
        assert text == stream.result().content
        assert "Paris" in text, text
        answers = await asyncio.gather(
            *(model.respond("What is the meaning of life?") for _ in range(8))
        )
        assert all("42" in answer.content for answer in answers), answers
        await model.unload()


def main() -> None:
    asyncio.run(asynchronous(sys.argv[1]))
    with lms.Client(sys.argv[1]) as client:
        models(client)
        predictions(client)
        tools_and_tokens(client)
    print("ok")


if __name__ == "__main__":
    main()
