"""Whole dialogues for the three stages of the training, and their text with what to learn of it.

Stage 1 teaches the forms: answering, calling a tool, using its result. Stage 2 adds what people
wrap around a question, tools that fail, several calls at once, plain text and questions without an
answer. Stage 3 adds arbitrary text to copy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tools import OPERAND_NAMES, Exercise, ToolExercises, define, is_prime
from vocabulary import Vocabulary
from words import (
    ANIMALS,
    BOOKS,
    CAPITAL_QUESTIONS,
    CAPITALS,
    FACTS,
    IGNORANCE,
    PLAIN_TEXTS,
    SYSTEM_PROMPTS,
    UNANSWERABLE,
)

STAGES = (1, 2, 3)
LEARNED, CONTEXT, IGNORED = 1.0, 0.05, 0.0
"""How much a token counts in the loss: an answer fully, its context a little, for the language."""


@dataclass(frozen=True)
class Segment:
    """A piece of a dialogue's text, and how much it counts."""

    text: str
    weight: float


@dataclass(frozen=True)
class Dialogue:
    """Messages in OpenAI's form, with the tools they may use; or one plain text."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    plain_text: str | None = None


def user(text: str) -> dict[str, Any]:
    """Return a message of the user's."""
    return {"role": "user", "content": text}


def assistant(text: str, *calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a message of the model's, with its calls."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"type": "function", "id": "x", "function": {"name": name, "arguments": arguments}}
            for name, arguments in calls
        ]
    return message


def tool_result(text: str) -> dict[str, Any]:
    """Return a message with the result of a call."""
    return {"role": "tool", "content": text}


class DialogueMaker:
    """Makes dialogues of one stage. Two with the same seed make the same ones."""

    def __init__(self, stage: int, seed: int) -> None:
        self._stage = stage
        self._words = Vocabulary(seed, disguised=stage >= 2, any_text=stage >= 3)
        self._tools = ToolExercises(self._words, varied=stage >= 2)
        self._random = self._words.random

    def one(self) -> Dialogue:
        """Return a new dialogue."""
        if self._stage >= 2:
            chance = self._random.random()
            if chance < 0.03:
                return Dialogue([], [], self._random.choice(PLAIN_TEXTS))
            if chance < 0.06:
                question = self._words.disguise(self._random.choice(UNANSWERABLE))
                return self._started([user(question), assistant(IGNORANCE)], [])
            if chance < 0.14:
                return self._two_calls(self._tools.one(), self._tools.one(), [])
        return self._common()

    def _common(self) -> Dialogue:
        chance = self._random.random()
        if chance < 0.40:
            return self._started(self._small_talk(), [])
        main = self._tools.one()
        others = self._others(main)
        tools = [main.tool, *(other.tool for other in others)]
        if chance < 0.46:
            return self._started(self._no_call_needed(), self._shuffled(tools))
        if chance < 0.52:
            return self._sum_is_prime(main)
        if chance < 0.57 and others:
            return self._two_calls(main, others[0], tools[2:])
        chain = [main, others[0]] if others and self._random.random() < 0.2 else [main]
        messages: list[dict[str, Any]] = []
        for exercise in chain:
            messages += [
                user(exercise.question),
                assistant("", (exercise.name, exercise.arguments)),
                tool_result(exercise.result),
                assistant(exercise.answer),
            ]
        return self._started(messages, self._shuffled(tools))

    def _started(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Dialogue:
        if self._random.random() < 0.35:
            system = {"role": "system", "content": self._random.choice(SYSTEM_PROMPTS)}
            messages = [system, *messages]
        return Dialogue(messages, tools)

    def _shuffled(self, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._random.sample(tools, len(tools))

    def _others(self, main: Exercise) -> list[Exercise]:
        """Up to three exercises with tools of other names: what the model has to tell apart."""
        by_name = {main.name: main}
        wanted = 1 + self._random.choice([0, 0, 1, 1, 2, 3])
        while len(by_name) < wanted:
            other = self._tools.one()
            by_name.setdefault(other.name, other)
        return list(by_name.values())[1:]

    def _small_talk(self) -> list[dict[str, Any]]:
        thinking = self._random.random() < 0.15
        messages: list[dict[str, Any]] = []
        for _ in range(self._random.choice([1, 1, 1, 1, 2, 3])):
            question, answer = self._json() if self._random.random() < 0.1 else self._question()
            if self._random.random() < 0.1:
                question = question.lower()
            message = assistant(answer)
            if thinking:
                form = self._random.choice(
                    ["The user asks: {} I will answer directly.", "The user says: {} This is easy."]
                )
                message["reasoning_content"] = form.format(question)
            messages += [user(question), message]
        return messages

    def _no_call_needed(self) -> list[dict[str, Any]]:
        question, answer = self._question()
        while any(character.isdigit() for character in question):
            question, answer = self._question()
        return [user(question), assistant(answer)]

    def _sum_is_prime(self, other: Exercise) -> Dialogue:
        """Two rounds: the second call needs the first one's result."""
        a, b = self._words.number(), self._words.number()
        first, second = self._random.choice(OPERAND_NAMES[:2])
        parameter = self._random.choice(["n", "n", "number"])
        tools = [
            define(
                "add",
                {first: "integer", second: "integer"},
                self._tools.description(
                    "Given two numbers a and b. Returns the sum of them.", "Add two numbers"
                ),
            ),
            define(
                "is_prime",
                {parameter: "integer"},
                self._tools.description(
                    "Given a number n. Returns true if n is a prime number.",
                    "Check if a number is prime",
                ),
            ),
        ]
        if other.name not in ("add", "is_prime") and self._random.random() < 0.5:
            tools.append(other.tool)
        prime, total = is_prime(a + b), a + b
        question = self._random.choice(
            [
                "Is the result of {a} + {b} a prime? Think step by step.",
                "Is the result of {a} + {b} a prime?",
                "Is {a} + {b} prime?",
                "Is the sum of {a} and {b} a prime number?",
            ]
        ).format(a=a, b=b)
        answer = f"the result of {a} + {b} is {total}, which is"
        messages = [
            user(question),
            assistant("", ("add", {first: a, second: b})),
            tool_result(str(total)),
            assistant("", ("is_prime", {parameter: total})),
            tool_result(self._random.choice([str(prime), str(prime).lower()])),
            assistant(f"Yes, {answer} prime." if prime else f"No, {answer} not prime."),
        ]
        return self._started(messages, self._shuffled(tools))

    def _two_calls(
        self, one: Exercise, two: Exercise, more_tools: list[dict[str, Any]]
    ) -> Dialogue:
        if one.name == two.name:
            return self._common()
        lowered = two.question[0].lower() + two.question[1:]
        question = self._random.choice(
            [
                f"{one.question} {two.question}",
                f"{one.question.rstrip('.?')} and {lowered}",
                f"{one.question} Then {lowered}",
            ]
        )
        messages = [
            user(question),
            assistant("", (one.name, one.arguments), (two.name, two.arguments)),
            tool_result(one.result),
            tool_result(two.result),
            assistant(f"The results are: {one.result} and {two.result}"),
        ]
        return self._started(messages, self._shuffled([one.tool, two.tool, *more_tools]))

    def _json(self) -> tuple[str, str]:
        if self._random.random() < 0.6:
            title, author, year = self._random.choice(BOOKS)
            form = self._random.choice(
                [
                    "Tell me about {} in JSON.",
                    "Give me {} as JSON.",
                    "Tell me about the book {} as a JSON object.",
                    "Describe {} in JSON.",
                ]
            )
            return form.format(title), json.dumps({"title": title, "author": author, "year": year})
        country = self._random.choice(list(CAPITALS))
        form = self._random.choice(["Give me the capital of {} in JSON.", "Capital of {} as JSON."])
        answer = json.dumps({"country": country, "capital": CAPITALS[country]})
        return form.format(country), answer

    def _question(self) -> tuple[str, str]:
        """A question without tools, and its answer."""
        kinds = [self._fact, self._capital, self._sum, self._counting]
        kinds += [self._repeating, self._animal, self._book, self._unknown]
        weights = [34, 16, 7, 8, 18, 5, 5, 7]
        question, answer = self._random.choices(kinds, weights)[0]()
        return self._words.disguise(question), answer

    def _fact(self) -> tuple[str, str]:
        questions, answer = self._random.choice(FACTS)
        return self._random.choice(questions), answer

    def _capital(self) -> tuple[str, str]:
        country = self._random.choice(list(CAPITALS))
        question = self._random.choice(CAPITAL_QUESTIONS).format(country)
        return question, f"The capital of {country} is {CAPITALS[country]}."

    def _sum(self) -> tuple[str, str]:
        a, b = self._random.randint(0, 10), self._random.randint(0, 10)
        if self._random.random() < 0.7:
            form = self._random.choice(
                ["What is {} + {}?", "What is {} plus {}?", "{}+{}", "{} + {} = ?"]
            )
            return form.format(a, b), f"{a} + {b} = {a + b}."
        a, b = max(a, b), min(a, b)
        form = self._random.choice(["What is {} - {}?", "What is {} minus {}?"])
        return form.format(a, b), f"{a} - {b} = {a - b}."

    def _counting(self) -> tuple[str, str]:
        usual = self._random.random() < 0.6
        end = self._random.choice([3, 5, 10, 20, 20]) if usual else self._random.randint(2, 30)
        form = self._random.choice(
            ["Count to {}.", "Count from 1 to {}.", "Please count to {}.", "Count to {}"]
        )
        return form.format(end), ", ".join(str(number) for number in range(1, end + 1)) + "."

    def _repeating(self) -> tuple[str, str]:
        few = self._random.random() < 0.8
        text = self._words.several(1, 6) if few else str(self._words.number())
        form = self._random.choice(
            ["Repeat after me: {}", "Say {}", "Repeat: {}", 'Say "{}"', "Echo: {}"]
        )
        return form.format(text), text

    def _animal(self) -> tuple[str, str]:
        animal = self._random.choice(list(ANIMALS))
        form = self._random.choice(["What does the {} say?", "What sound does a {} make?"])
        return form.format(animal), f"The {animal} says {ANIMALS[animal]}."

    def _book(self) -> tuple[str, str]:
        title, author, year = self._random.choice(BOOKS)
        form = self._random.choice(
            ["Tell me about {}.", "Tell me about the book {}.", "Who wrote {}?"]
        )
        return form.format(title), f"{title} was written by {author} in {year}."

    def _unknown(self) -> tuple[str, str]:
        form = self._random.choice(
            [
                "What is a {}?",
                "Tell me about {}.",
                "Explain {}.",
                "Why is the {} like that?",
                "How do I make a {}?",
                "Do you know {}?",
                "Can you {}?",
                "I like {}",
            ]
        )
        return form.format(self._words.several(1, 3)), IGNORANCE
