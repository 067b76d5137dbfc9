"""Making a prompt shorter that does not fit a model's context.

How many tokens a text has, only the model knows; these functions take the share of the prompt
that may stay, and the caller tries again until it fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

__all__ = ["pictures", "shorten_messages", "shorten_text"]

Policy = Literal["truncateMiddle", "rollingWindow"]
Message = Mapping[str, Any]

_MARK = "\n[…]\n"


def shorten_messages(
    messages: Sequence[Message], policy: Policy, keep: float
) -> list[Message] | None:
    """Drop turns until about ``keep`` (0 to 1) of the text remains.

    System messages and the last turn stay. ``rollingWindow`` drops the oldest turns first;
    ``truncateMiddle`` keeps the first turn too and drops those after it. Of a last turn that is too long
    alone, as an agent's may be, the oldest rounds of tools are dropped. When that is not enough, the longest
    text is cut. ``None`` when nothing is left to drop.

    Args:
        messages: The chat, oldest message first.
        policy: ``"rollingWindow"`` or ``"truncateMiddle"``.
        keep: The share of the text to keep, 0.0 to 1.0.
    """
    budget = sum(map(_size, messages)) * keep
    head = [message for message in messages if message["role"] == "system"]
    turns = _turns([message for message in messages if message["role"] != "system"])
    first: list[list[Message]] = []
    if policy == "truncateMiddle" and len(turns) > 2:
        first, turns = turns[:1], turns[1:]
    turns = _without_oldest(turns, _total(head, *first, *turns) - budget)
    if first and _total(head, *first, *turns) > budget:
        first = []
    if len(turns) == 1:
        question, *rounds = _rounds(turns[0])
        surplus = _total(head, *first, *turns) - budget
        turns = [question, *_without_oldest(rounds, surplus)]
    kept = [*head, *(message for turn in (*first, *turns) for message in turn)]
    if _total(kept) <= budget and len(kept) < len(messages):
        return kept
    return _cut_longest(kept, policy, budget)


def shorten_text(text: str, policy: Policy, keep: float) -> str | None:
    """Keep about ``keep`` of a text: its two ends, or its end; ``None`` if nothing would be left.

    Args:
        text: The text.
        policy: ``"rollingWindow"`` or ``"truncateMiddle"``.
        keep: The share of the text to keep, 0.0 to 1.0.
    """
    budget = int(len(text) * keep)
    if budget < 1 or budget >= len(text):
        return None
    if policy == "rollingWindow" or budget <= 2 * len(_MARK):
        return text[-budget:]
    side = (budget - len(_MARK)) // 2
    return text[:side] + _MARK + text[-side:]


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Groups that only make sense together: what a user says and all that answers it."""
    turns: list[list[Message]] = []
    for message in messages:
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _rounds(turn: list[Message]) -> list[list[Message]]:
    """What the user said, then each answer with the results of the tools that it called."""
    rounds: list[list[Message]] = [[]]
    for message in turn:
        if message["role"] == "assistant" and rounds[-1]:
            rounds.append([])
        rounds[-1].append(message)
    return rounds


def _without_oldest(groups: list[list[Message]], surplus: float) -> list[list[Message]]:
    """The groups without as many of the oldest as make up ``surplus``; the last one stays."""
    oldest = 0
    while oldest < len(groups) - 1 and surplus > 0:
        surplus -= _total(groups[oldest])
        oldest += 1
    return groups[oldest:]


def _cut_longest(
    messages: Sequence[Message], policy: Policy, budget: float
) -> list[Message] | None:
    texts = [place for index, message in enumerate(messages) for place in _texts(message, index)]
    if not texts:
        return None
    length, index, part = max(texts)
    surplus = _total(messages) - budget
    if surplus <= 0 or length < 2:
        return None
    keep = max((length - surplus) / length, 0.02)
    content = messages[index]["content"]
    shorter = shorten_text(content if part < 0 else content[part]["text"], policy, keep)
    if shorter is None:
        return None
    if part >= 0:
        content = [*content[:part], {**content[part], "text": shorter}, *content[part + 1 :]]
    cut = list(messages)
    cut[index] = {**messages[index], "content": shorter if part < 0 else content}
    return cut


def _texts(message: Message, index: int) -> list[tuple[int, int, int]]:
    """The lengths of a message's texts and where they are: the message and its part (-1: all of it)."""
    content = message["content"]
    if isinstance(content, str):
        return [(len(content), index, -1)]
    return [
        (len(piece["text"]), index, part)
        for part, piece in enumerate(content)
        if piece["type"] == "text"
    ]


def pictures(messages: Sequence[Message]) -> int:
    """How many pictures there are, which have tokens and no text."""
    return sum(
        piece["type"] == "image_url"
        for message in messages
        if not isinstance(message["content"], str)
        for piece in message["content"]
    )


def _total(*groups: Sequence[Message]) -> int:
    return sum(_size(message) for group in groups for message in group)


def _size(message: Message) -> int:
    content = message["content"]
    calls = message.get("tool_calls")
    # The markup that a template writes around every message counts a little too.
    size = 16 + (len(str(calls)) if calls else 0)
    if isinstance(content, str):
        return size + len(content)
    return size + sum(len(str(piece.get("text", ""))) for piece in content)
