"""Exercises in calling tools: a tool, what the user wants, the call, the result, the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from words import CITIES, MEANING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vocabulary import Vocabulary

OPERAND_NAMES = [("a", "b"), ("x", "y"), ("first", "second"), ("num1", "num2"), ("left", "right")]
MULTIPLY_DESCRIPTIONS = [
    "Multiply two numbers",
    "Given two numbers a and b. Returns the product of them.",
]


@dataclass(frozen=True)
class Exercise:
    """One call of one tool."""

    tool: dict[str, Any]
    question: str
    arguments: dict[str, Any]
    result: str
    answer: str

    @property
    def name(self) -> str:
        """The tool's name."""
        return str(self.tool["function"]["name"])


def define(name: str, parameters: dict[str, str], description: str) -> dict[str, Any]:
    """Return a tool's definition; ``parameters`` are names and JSON types."""
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def is_prime(number: int) -> bool:
    """Whether ``number`` is a prime."""
    if number < 2:
        return False
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


class ToolExercises:
    """Makes exercises from a source of words. ``varied``: with errors and more sorts of tools."""

    def __init__(self, vocabulary: Vocabulary, *, varied: bool) -> None:
        self._words = vocabulary
        self._choose = vocabulary.random.choice
        self._chance = vocabulary.random.random
        self._varied = varied
        self._common: list[tuple[Callable[[], Exercise], float]] = [
            (self._add, 3),
            (self._multiply, 2),
            (self._subtract, 1),
            (self._prime, 1.5),
            (self._weather, 2),
            (self._file, 2),
            (self._time, 1),
            (self._without_arguments, 0.8),
            (self._made_up, 7),
        ]
        self._further = [self._multiply_in_words, self._divide, self._meaning, self._search]

    def one(self) -> Exercise:
        """Return a new exercise."""
        if not self._varied:
            return self._from_common()
        if self._chance() >= 0.3:
            exercise = self._from_common()
        elif self._chance() < 0.8:
            exercise = self._choose(self._further)()
        else:
            error = f"Error: {self._words.several(1, 4)}"
            exercise = replace(self._from_common(), result=error)
        if exercise.result.startswith("Error"):
            exercise = replace(exercise, answer=f"The tool failed: {exercise.result}")
        return replace(exercise, question=self._words.disguise(exercise.question))

    def description(self, *texts: str) -> str:
        """Return one of ``texts``, or nothing: many tools people write have none."""
        return self._choose(texts) if self._chance() < 0.6 else ""

    def _from_common(self) -> Exercise:
        makers, weights = zip(*self._common, strict=True)
        return self._words.random.choices(makers, weights)[0]()

    def _number_type(self) -> str:
        return self._choose(["number", "integer", "integer"])

    def _binary(
        self,
        names: list[str],
        questions: list[str],
        descriptions: list[str],
        compute: Callable[[int, int], int],
        answer: str,
    ) -> Exercise:
        """An exercise with two numbers; texts have ``{a}``, ``{b}``, ``{r}`` in them."""
        a, b = self._words.number(), self._words.number()
        first, second = self._choose(OPERAND_NAMES)
        kind, values = self._number_type(), {"a": a, "b": b, "r": compute(a, b)}
        return Exercise(
            define(
                self._choose(names), {first: kind, second: kind}, self.description(*descriptions)
            ),
            self._choose(questions).format(**values),
            {first: a, second: b},
            str(values["r"]),
            answer.format(**values),
        )

    def _add(self) -> Exercise:
        return self._binary(
            ["add", "add", "add", "add", "add_numbers", "sum"],
            [
                "What is {a} plus {b}?",
                "Add {a} and {b}.",
                "What is {a} + {b}?",
                "What is the sum of {a} and {b}?",
                "Please add {a} and {b}",
                "{a}+{b}",
                "Use the tool to add {a} and {b}.",
                "add {a} and {b}",
                "Can you add {a} and {b}?",
            ],
            [
                "Add two numbers",
                "Given two numbers a and b. Returns the sum of them.",
                "Adds two numbers together",
            ],
            lambda a, b: a + b,
            "The sum of {a} and {b} is {r}.",
        )

    def _multiply(self) -> Exercise:
        return self._binary(
            ["multiply", "multiply", "multiply", "mul"],
            [
                "What is {a} times {b}?",
                "Multiply {a} by {b}.",
                "What is {a} * {b}?",
                "Multiply {a} and {b}.",
                "What is the product of {a} and {b}?",
                "multiply {a} and {b}",
            ],
            MULTIPLY_DESCRIPTIONS,
            lambda a, b: a * b,
            "The product of {a} and {b} is {r}.",
        )

    def _multiply_in_words(self) -> Exercise:
        return self._binary(
            ["multiply", "mul", "product"],
            [
                "What is the result of {a} multiplied by {b}?",
                "What is {a} multiplied by {b}?",
                "What do you get if you multiply {a} by {b}?",
                "{a}*{b}",
            ],
            MULTIPLY_DESCRIPTIONS,
            lambda a, b: a * b,
            "The product of {a} and {b} is {r}.",
        )

    def _subtract(self) -> Exercise:
        return self._binary(
            ["subtract", "sub"],
            ["What is {a} minus {b}?", "What is {a} - {b}?", "Calculate {a} - {b}."],
            ["Subtract two numbers"],
            lambda a, b: a - b,
            "The result is {r}.",
        )

    def _divide(self) -> Exercise:
        a = self._words.number()
        b = self._choose([0, 0, 1, 2, 4, 5, 10, self._words.random.randint(1, 99)])
        first, second = self._choose(OPERAND_NAMES)
        result = "Error: division by zero" if b == 0 else str(round(a / b, 3))
        question = self._choose(["Divide {a} by {b}.", "What is {a} divided by {b}?", "{a} / {b}?"])
        return Exercise(
            define(
                "divide",
                {first: "number", second: "number"},
                self.description("Divide two numbers", "Divides a by b."),
            ),
            question.format(a=a, b=b),
            {first: a, second: b},
            result,
            f"The result is {result}.",
        )

    def _prime(self) -> Exercise:
        number = self._words.number()
        parameter = self._choose(["n", "n", "number", "x"])
        prime = is_prime(number)
        question = self._choose(
            ["Is {} a prime?", "Is {} prime?", "Is {} a prime number?", "Check if {} is prime."]
        )
        return Exercise(
            define(
                self._choose(["is_prime", "is_prime", "isPrime"]),
                {parameter: self._number_type()},
                self.description(
                    "Check if a number is prime",
                    "Given a number n. Returns true if n is a prime number.",
                ),
            ),
            question.format(number),
            {parameter: number},
            self._choose([str(prime), str(prime).lower()]),
            f"Yes, {number} is prime." if prime else f"No, {number} is not prime.",
        )

    def _weather(self) -> Exercise:
        city = self._choose(CITIES) if self._chance() < 0.8 else self._words.made_up().capitalize()
        parameter = self._choose(["city", "location", "city", "place"])
        sky = self._choose(["sunny", "rainy", "cloudy", "windy", "snowy"])
        result = sky + self._choose(["", " and warm", " and cold", ", 20 degrees", ", 5 degrees"])
        question = self._choose(
            [
                "What is the weather in {}?",
                "What's the weather in {}?",
                "Weather in {}",
                "Tell me the weather in {}.",
                "What is the weather like in {}?",
            ]
        )
        return Exercise(
            define(
                self._choose(["get_weather", "get_current_weather", "weather", "getWeather"]),
                {parameter: "string"},
                self.description("Get the weather for a city", "Get the current weather"),
            ),
            question.format(city),
            {parameter: city},
            result,
            f"The weather in {city} is: {result}",
        )

    def _time(self) -> Exercise:
        city = self._choose(CITIES)
        parameter = self._choose(["timezone", "city", "location"])
        hour, minute = self._words.random.randint(0, 23), self._words.random.randint(10, 59)
        question = self._choose(
            ["What time is it in {}?", "What is the time in {}?", "Tell me the time in {}."]
        )
        return Exercise(
            define(
                self._choose(["get_time", "get_current_time", "current_time"]),
                {parameter: "string"},
                self.description("Get the current time"),
            ),
            question.format(city),
            {parameter: city},
            f"{hour}:{minute}",
            f"The time in {city} is: {hour}:{minute}",
        )

    def _writing(self, name: str, content: str, questions: list[str]) -> Exercise:
        first, second = self._choose(
            [
                ("name", "content"),
                ("name", "content"),
                ("path", "text"),
                ("filename", "content"),
                ("file_name", "contents"),
            ]
        )
        result = self._choose(["File created.", "ok", "done", "Error: file already exists."])
        return Exercise(
            define(
                self._choose(["create_file", "create_file", "write_file", "save_file"]),
                {first: "string", second: "string"},
                self.description("Create a file with the given name and content.", "Write a file"),
            ),
            self._choose(questions).format(f=name, c=content),
            {first: name, second: content},
            result,
            f"The result is: {result}",
        )

    def _file(self) -> Exercise:
        name = self._words.word() + self._choose([".txt", ".md", ".py", ".json", ""])
        return self._writing(
            name,
            self._words.several(1, 5),
            [
                "Create a file named {f} with the content {c}",
                'Create a file named {f} with content "{c}"',
                "Please create a file named {f} with the text {c}",
                "Write {c} to a file named {f}",
                "Save {c} to {f}",
            ],
        )

    def _meaning(self) -> Exercise:
        return self._writing(
            self._words.word() + self._choose([".txt", ".md"]),
            MEANING,
            [
                "Please create a file named {f} with your understanding of the meaning of life.",
                "Create a file named {f} with the meaning of life.",
                "Write the meaning of life to {f}.",
            ],
        )

    def _search(self) -> Exercise:
        query, parameter = self._words.several(1, 4), self._choose(["query", "q", "text"])
        result = self._choose(["no results", self._words.several(2, 5)])
        question = self._choose(
            ["Search the web for {}", "Search for {}.", "Look up {}.", "Find {} on the web."]
        )
        return Exercise(
            define(
                self._choose(["search", "search_web", "web_search"]),
                {parameter: "string"},
                self.description("Search the web", "Search the web for a query"),
            ),
            question.format(query),
            {parameter: query},
            result,
            f"The result is: {result}",
        )

    def _without_arguments(self) -> Exercise:
        name, question = self._choose(
            [
                ("get_date", "What is the date today?"),
                ("get_time", "What time is it?"),
                ("roll_dice", "Roll the dice."),
                ("get_user", "Who am I?"),
                ("list_files", "List the files."),
                ("get_status", "What is the status?"),
                ("ping", "Ping the server."),
            ]
        )
        result = self._choose([self._words.several(1, 3), str(self._words.number())])
        tool = define(name, {}, self.description("No arguments"))
        return Exercise(tool, question, {}, result, f"The result is: {result}")

    def _made_up(self) -> Exercise:
        """A tool with a name and parameters out of nothing: what has to be copied, not known."""
        name = self._words.identifier()
        kinds: dict[str, str] = {}
        arguments: dict[str, Any] = {}
        for _ in range(self._words.random.randint(1, 3)):
            parameter = self._words.parameter()
            kinds[parameter] = kind = self._choose(
                ["integer", "number", "string", "string", "string", "boolean"]
            )
            if kind == "string":
                arguments[parameter] = self._words.several(1, 2)
            elif kind == "boolean":
                arguments[parameter] = self._chance() < 0.5
            else:
                arguments[parameter] = self._words.number()
        result = self._choose(
            [
                self._words.several(1, 4),
                str(self._words.number()),
                "true",
                "false",
                "ok",
                json.dumps({self._words.word(): self._words.number()}),
            ]
        )
        description = self._words.several(1, 4) if self._chance() < 0.3 else ""
        question = self._question_for(name, arguments)
        tool = define(name, kinds, description)
        return Exercise(tool, question, arguments, result, f"The result is: {result}")

    def _question_for(self, name: str, arguments: dict[str, Any]) -> str:
        def shown(value: Any) -> str:
            return json.dumps(value) if isinstance(value, bool) else str(value)

        pairs = [f"{key}={shown(value)}" for key, value in arguments.items()]
        way = self._chance()
        if way < 0.45:
            form = self._choose(
                ["Use the {n} tool with {v}.", "Call {n} with {v}.", "Please call {n} with {v}"]
            )
            return form.format(n=name, v=" and ".join(pairs))
        if way < 0.6:
            return f"{name}({', '.join(pairs)})"
        form = self._choose(
            ["Use the {n} tool with {v}.", "Call {n} with {v}.", "Run {n} on {v}.", "{n} {v}"]
        )
        return form.format(n=name, v=", ".join(shown(value) for value in arguments.values()))
