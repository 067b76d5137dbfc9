"""The text of a dialogue, exactly as the chat templates beside this file write it.

``make.py`` checks that the two agree, with llama.cpp's own rendering.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dialogues import CONTEXT, IGNORED, LEARNED, Dialogue, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator


def segments(dialogue: Dialogue) -> list[Segment]:
    """Return the text of ``dialogue`` in pieces, with what to learn of it."""
    if dialogue.plain_text is not None:
        return [Segment(dialogue.plain_text + "<|endoftext|>", LEARNED)]
    return [*_beginning(dialogue), *_messages(dialogue.messages)]


def text_of(dialogue: Dialogue) -> str:
    """Return the whole text of ``dialogue``."""
    return "".join(segment.text for segment in segments(dialogue))


def _signature(function: dict[str, Any]) -> str:
    properties = function["parameters"]["properties"]
    parameters = ", ".join(f"{name}: {schema['type']}" for name, schema in properties.items())
    signature = f"{function['name']}({parameters})"
    return f"{signature} - {function['description']}" if function["description"] else signature


def _beginning(dialogue: Dialogue) -> Iterator[Segment]:
    first = dialogue.messages[0]
    system = first["content"] if first["role"] == "system" else ""
    lines = [system] if system else []
    if dialogue.tools:
        lines += ["Tools:", *(_signature(tool["function"]) for tool in dialogue.tools)]
    if lines:
        yield Segment("<|im_start|>system\n" + "\n".join(lines) + "<|im_end|>\n", CONTEXT)


def _messages(messages: list[dict[str, Any]]) -> Iterator[Segment]:
    for position, message in enumerate(messages):
        role = message["role"]
        if role == "assistant":
            yield from _answer(message)
        elif role == "tool":
            before = messages[position - 1]["role"] == "tool"
            after = messages[position + 1 : position + 2]
            text = "" if before else "<|im_start|>user"
            text += f"\n<tool_response>\n{message['content']}\n</tool_response>"
            text += "" if after and after[0]["role"] == "tool" else "<|im_end|>\n"
            yield Segment(text, CONTEXT)
        elif role == "user":
            yield Segment(f"<|im_start|>user\n{message['content']}<|im_end|>\n", CONTEXT)


def _answer(message: dict[str, Any]) -> Iterator[Segment]:
    yield Segment("<|im_start|>assistant\n", CONTEXT)
    parts = [message["content"]] if message["content"] else []
    for call in message.get("tool_calls", ()):
        function = call["function"]
        arguments = json.dumps(function["arguments"], ensure_ascii=False)
        name = function["name"]
        parts.append(f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>')
    thought = ""
    if "reasoning_content" in message:
        # The template begins thinking; the model must never begin it by itself.
        yield Segment("<think>\n", IGNORED)
        thought = message["reasoning_content"] + "\n</think>\n\n"
    yield Segment(thought + "\n".join(parts) + "<|im_end|>", LEARNED)
    yield Segment("\n", CONTEXT)
