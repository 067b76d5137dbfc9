"""Pictures in chats: the real llama.cpp with a projector of random weights."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pocket_models import MULTIPLY, ask, collect, finish_of, greedy, loaded, run, text_of
from seeing_models import IMAGE_TOKENS, png, put_seeing_model

from lmstudio_server.engines.base import ChatRequest, Draft, EngineError, Text
from lmstudio_server.library import Library

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_server.engines.llamacpp.model import LlamaCppModel

RED, BLUE = (255, 0, 0), (0, 0, 255)
SHORT = greedy(max_tokens=8)


def picture(content: bytes) -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def look(*contents: bytes, **fields: Any) -> ChatRequest:
    parts = [{"type": "text", "text": "What is it?"}, *map(picture, contents)]
    return replace(ask("", SHORT, **fields), messages=[{"role": "user", "content": parts}])


async def certainty(model: LlamaCppModel, content: bytes) -> float | None:
    """The log probability of the first token said about a picture."""
    request = replace(look(content), sampling=greedy(max_tokens=8, log_probs=0))
    events = await collect(model.chat(request))
    return next(token.log_prob for e in events if isinstance(e, Text) for token in e.tokens)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = put_seeing_model(tmp_path_factory.mktemp("models"))
    return {"path": folder / "seeing.gguf", "mmproj": folder / "mmproj-seeing.gguf"}


def test_the_library_finds_the_projector(tmp_path: Path) -> None:
    put_seeing_model(tmp_path)
    [model] = Library([tmp_path], bundled=False).scan()
    assert (model.key, model.vision) == ("seeing", True)
    assert model.mmproj is not None
    assert model.mmproj.name == "mmproj-seeing.gguf"


def test_pictures_are_in_the_prompt(files: dict[str, Path]) -> None:
    async def test() -> None:
        async with loaded(**files) as model:
            blind = finish_of(await collect(model.chat(ask("What is it?", SHORT))))
            for count in (1, 2):
                events = await collect(model.chat(look(*[png(255, 0, 0)] * count)))
                assert text_of(events)
                more = finish_of(events).prompt_tokens - blind.prompt_tokens
                assert more >= count * IMAGE_TOKENS
            # It looks: another colour, other probabilities.
            sure = [await certainty(model, png(*colour)) for colour in (RED, BLUE, RED)]
            assert sure[0] == pytest.approx(sure[2], abs=1e-3)
            assert sure[0] != pytest.approx(sure[1], abs=1e-3)

    run(test)


def test_pictures_on_every_route(files: dict[str, Path]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n"
    )

    async def test() -> None:
        async with loaded(**files) as model:
            requests = [
                look(png(1, 2, 3)),
                replace(look(png(1, 2, 3)), sampling=greedy(json_schema=schema, max_tokens=20)),
                look(png(1, 2, 3), chat_template=template),
                look(png(1, 2, 3), tools=[MULTIPLY], tool_choice="required"),
            ]
            for request in requests:
                assert finish_of(await collect(model.chat(request))).prompt_tokens > IMAGE_TOKENS

    run(test)


def test_a_picture_in_a_tool_s_result(files: dict[str, Path]) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}

    async def test() -> None:
        async with loaded(**files) as model:
            result: list[dict[str, Any]] = [{"type": "text", "text": "here"}]
            counts: list[int] = []
            for parts in (result, [*result, picture(png(0, 255, 0))]):
                request = ChatRequest(
                    [
                        {"role": "user", "content": "Look."},
                        {"role": "assistant", "content": "", "tool_calls": [call]},
                        {"role": "tool", "tool_call_id": "c", "content": parts},
                    ],
                    SHORT,
                )
                counts.append(finish_of(await collect(model.chat(request))).prompt_tokens)
        assert counts[1] - counts[0] >= IMAGE_TOKENS

    run(test)


@pytest.mark.parametrize("content", [b"no picture", b"\x89PNG\r\n\x1a\n cut off", b""])
def test_bytes_that_are_no_picture(files: dict[str, Path], content: bytes) -> None:
    async def test() -> None:
        async with loaded(**files) as model:
            for request in (
                look(content),
                replace(look(content), sampling=greedy(grammar="root ::= [a]")),
            ):
                with pytest.raises(EngineError, match="image of the chat cannot be read") as caught:
                    await collect(model.chat(request))
                assert "PNG or JPEG" in str(caught.value.suggestion)
            assert text_of(await collect(model.chat(look(png(9, 9, 9)))))

    run(test)


def test_the_end_of_the_context_with_a_picture(files: dict[str, Path]) -> None:
    """llama.cpp cannot shift a context with pictures: it ends there, whatever was asked for."""

    async def test() -> None:
        async with loaded(**files, context_length=256, parallel=1) as model:
            for overflow in ("stop", "roll"):
                sampling = greedy(overflow=overflow, logit_bias=((2, -float("inf")),))
                finished = finish_of(
                    await collect(model.chat(replace(look(png(5, 5, 5)), sampling=sampling)))
                )
                if finished.stop_reason != "eos":
                    assert finished.stop_reason == "context"
                    total = finished.prompt_tokens + finished.predicted_tokens
                    assert total == pytest.approx(256, abs=2)

    run(test)


def test_a_picture_with_a_draft(files: dict[str, Path]) -> None:
    async def test() -> None:
        async with loaded(**files) as model:
            request = look(png(5, 5, 5), draft=Draft(files["path"], "d"))
            assert text_of(await collect(model.chat(request)))

    run(test)
