"""Words, numbers and names at random."""

from __future__ import annotations

import random
import string

from words import FOREIGN_WORDS, RARER_WORDS, SYLLABLES, WORDS

COMMON_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
USUAL_PARAMETERS = (
    "a b x y z n text name value query city count key id url input"  # what people call them
)
OPENINGS = ["Please ", "Hey, ", "Can you tell me: ", "I want to know: ", "Question: ", "OK. "]
CLOSINGS = [" please", " thanks", " Think step by step.", " now", " Please answer briefly."]


class Vocabulary:
    """A source of words.

    Args:
        seed: Two sources with one seed give the same words.
        disguised: Whether questions get the politeness people put around them.
        any_text: Whether words are often arbitrary text, which has to be copied letter by letter.
    """

    def __init__(self, seed: int, *, disguised: bool, any_text: bool) -> None:
        self.random = random.Random(seed)
        self._disguised = disguised
        self._any_text = any_text

    def word(self) -> str:
        """Return a word."""
        if self._any_text and self.random.random() < 0.4:
            return self._arbitrary()
        return self.random.choice(WORDS) if self.random.random() < 0.7 else self.made_up()

    def made_up(self) -> str:
        """Return a word that is none, but can be spoken."""
        return "".join(self.random.choice(SYLLABLES) for _ in range(self.random.randint(2, 4)))

    def several(self, least: int, most: int) -> str:
        """Return between ``least`` and ``most`` words."""
        return " ".join(self.word() for _ in range(self.random.randint(least, most)))

    def number(self) -> int:
        """Return a number of one to six digits, small ones more often."""
        chance = self.random.random()
        if chance < 0.35:
            return self.random.randint(0, 9)
        if chance < 0.65:
            return self.random.randint(10, 99)
        return self.random.randint(0, 10 ** self.random.randint(3, 6))

    def identifier(self) -> str:
        """Return a name for a tool, in one of the usual styles."""
        first, second = self.word(), self.word()
        style = self.random.random()
        if style < 0.3:
            return first
        return f"{first}_{second}" if style < 0.75 else first + second.capitalize()

    def parameter(self) -> str:
        """Return a name for a parameter."""
        return (
            self.random.choice(USUAL_PARAMETERS.split())
            if self.random.random() < 0.6
            else self.word()
        )

    def disguise(self, question: str) -> str:
        """Return ``question``, now and then with something polite around it."""
        if not self._disguised or self.random.random() < 0.6:
            return question
        opening = self.random.choice(OPENINGS) if self.random.random() < 0.55 else ""
        closing = self.random.choice(CLOSINGS) if self.random.random() < 0.5 else ""
        if opening and question[:1].isupper() and self.random.random() < 0.5:
            question = question[0].lower() + question[1:]
        return opening + question + closing

    def _arbitrary(self) -> str:
        way, count = self.random.random(), self.random.randint

        def letters(source: str, least: int, most: int) -> str:
            return "".join(self.random.choice(source) for _ in range(count(least, most)))

        if way < 0.35:
            return letters(COMMON_LETTERS[: self.random.choice([12, 26])], 2, 9)
        if way < 0.5:
            return letters(string.ascii_letters, 2, 7).capitalize()
        if way < 0.6:
            return letters(string.ascii_uppercase, 2, 4)
        if way < 0.7:
            return letters(string.ascii_lowercase + string.digits, 3, 8)
        return self.random.choice(FOREIGN_WORDS if way < 0.75 else RARER_WORDS)
