"""The tokenizer: byte-level BPE with 1,024 tokens, trained on the first stage's dialogues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialogues import DialogueMaker
from rendering import text_of
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCABULARY_SIZE = 1024
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKUP_TOKENS = [
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
]
# How text is cut into words before BPE: what llama.cpp does for the pre-tokenizer "qwen2".
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(dialogues: int, seed: int = 0) -> Tokenizer:
    """Return a tokenizer made for the texts of that many dialogues."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(CONTROL_TOKENS) - len(MARKUP_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(dialogues, seed), trainer)
    # Added afterwards, so that their ids follow those of the BPE.
    tokenizer.add_special_tokens(CONTROL_TOKENS + MARKUP_TOKENS)
    return tokenizer


def _texts(dialogues: int, seed: int) -> Iterator[str]:
    maker = DialogueMaker(1, seed)
    for _ in range(dialogues):
        text = text_of(maker.one())
        for token in CONTROL_TOKENS + MARKUP_TOKENS:
            text = text.replace(token, "\n")
        yield text
