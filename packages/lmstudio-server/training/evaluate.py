"""Measuring a model file on dialogues it was not trained on, through the server's own engine."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from dialogues import Dialogue, DialogueMaker
from rendering import text_of

from lmstudio_server.engines.base import ChatRequest, LoadRequest, Sampling, Text, ToolCallEnd
from lmstudio_server.engines.llamacpp import LlamaCppEngine, LlamaCppModel

UNSEEN_SEED = 987_654
AT_ONCE = 4


def for_engine(message: dict[str, Any]) -> dict[str, Any]:
    """Return ``message`` as chat APIs have it: arguments as JSON text, results with an id."""
    copy = dict(message)
    if "tool_calls" in copy:
        copy["tool_calls"] = [
            {
                **call,
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
                },
            }
            for call in copy["tool_calls"]
        ]
    if copy["role"] == "tool":
        copy["tool_call_id"] = "x"
    return copy


def task_of(before: dict[str, Any], answer: dict[str, Any], *, tools: bool) -> str:
    """Return which task an answer belongs to."""
    calls = answer.get("tool_calls", ())
    if "reasoning_content" in answer:
        return "thinking first"
    if calls:
        return "calling a tool" if len(calls) == 1 else "two calls at once"
    if before["role"] == "tool":
        return "answering after a result"
    if answer["content"] and before["content"].rstrip('"').endswith(answer["content"]):
        return "repeating"
    return "questions with tools there" if tools else "simple questions"


async def is_right(
    model: LlamaCppModel, dialogue: Dialogue, position: int, *, thinks: bool
) -> bool:
    """Whether ``model`` gives exactly the answer at ``position``."""
    wanted = dialogue.messages[position]
    request = ChatRequest(
        [for_engine(message) for message in dialogue.messages[:position]],
        Sampling(temperature=0, max_tokens=160),
        tools=dialogue.tools,
        enable_thinking=thinks,
    )
    text, thought, calls = "", "", list[tuple[str, Any]]()
    async for event in model.chat(request):
        if isinstance(event, ToolCallEnd):
            calls.append((event.name, event.arguments))
        elif isinstance(event, Text) and event.reasoning == "none":
            text += event.content
        elif isinstance(event, Text) and event.reasoning == "reasoning":
            thought += event.content
    wanted_calls = [
        (call["function"]["name"], call["function"]["arguments"])
        for call in wanted.get("tool_calls", ())
    ]
    return (
        calls == wanted_calls
        and text.strip() == wanted["content"].strip()
        and bool(thought) == ("reasoning_content" in wanted)
    )


async def check_template(model: LlamaCppModel, maker: DialogueMaker, count: int) -> None:
    """Raise if llama.cpp renders a dialogue otherwise than it was learned."""
    for _ in range(count):
        dialogue = maker.one()
        if dialogue.plain_text is not None:
            continue
        request = ChatRequest(
            [for_engine(message) for message in dialogue.messages[:-1]],
            tools=dialogue.tools,
            enable_thinking="reasoning_content" in dialogue.messages[-1],
        )
        prompt = await model.apply_template(request)
        if not text_of(dialogue).startswith(prompt):
            raise SystemExit(f"The template and rendering.py disagree:\n{prompt}\n{dialogue}")


async def measure(path: Path, count: int) -> dict[str, tuple[int, int]]:
    """Return for each task how many answers were right, of how many, on ``count`` dialogues.

    ``path`` has to be the file whose template offers thinking.
    """
    request = LoadRequest(path, context_length=8192, parallel=AT_ONCE)
    model = await LlamaCppEngine().load(request, lambda _: None)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(dialogue: Dialogue, position: int) -> None:
        answer, before = dialogue.messages[position], dialogue.messages[position - 1]
        task = task_of(before, answer, tools=bool(dialogue.tools))
        thinks = "reasoning_content" in answer
        async with places:
            success = await is_right(model, dialogue, position, thinks=thinks)
        asked[task] += 1
        right[task] += success

    try:
        await check_template(model, DialogueMaker(3, UNSEEN_SEED + 1), 100)
        maker = DialogueMaker(3, UNSEEN_SEED)
        dialogues = [maker.one() for _ in range(count)]
        await asyncio.gather(
            *(
                one(dialogue, position)
                for dialogue in dialogues
                for position, message in enumerate(dialogue.messages)
                if message["role"] == "assistant"
            )
        )
    finally:
        await model.unload()
    return {task: (right[task], asked[task]) for task in sorted(asked)}


def print_table(results: dict[str, tuple[int, int]]) -> None:
    """Print what ``measure`` returned."""
    for task, (right, asked) in results.items():
        print(f"{task:30} {right:5} of {asked}")
    right = sum(pair[0] for pair in results.values())
    asked = sum(pair[1] for pair in results.values())
    print(f"{'all':30} {right:5} of {asked}  ({right / max(asked, 1):.1%})")


def main() -> None:
    """Measure the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a GGUF file whose template offers thinking")
    parser.add_argument("--dialogues", type=int, default=400)
    arguments = parser.parse_args()
    print_table(asyncio.run(measure(arguments.model, arguments.dialogues)))


if __name__ == "__main__":
    main()
