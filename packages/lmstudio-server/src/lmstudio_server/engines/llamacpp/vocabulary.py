"""Whether a draft model speaks the language of tokens of the model it drafts for.

llama.cpp compares the vocabularies as well, but loads a draft that does not match with a warning only,
and then translates between the two through text: slow, and not what was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_server.engines.base import EngineError

from .headers import header_of

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_server.library.gguf import GgufHeader

_TOKENS = "tokenizer.ggml.tokens"
_KIND = "tokenizer.ggml.model"
_END = "tokenizer.ggml.eos_token_id"
_FILLING = 128
"""How many tokens one vocabulary may have more at its end: such are there to fill up a matrix."""


def check_draft(model: Path, draft: Path) -> None:
    """Raise ``EngineError`` if ``draft`` cannot propose tokens for ``model``."""
    words = frozenset({_TOKENS})
    difference = vocabulary_difference(header_of(model, whole=words), header_of(draft, whole=words))
    if difference is not None:
        raise EngineError(
            f"{draft.name} cannot draft for {model.name}: their vocabularies differ",
            cause=difference,
            suggestion="Choose a draft model of the same family, or leave it out.",
        )


def vocabulary_difference(model: GgufHeader, draft: GgufHeader) -> str | None:
    """Return in what two vocabularies differ, or ``None`` if they match."""
    for key, what in ((_KIND, "kind of tokenizer"), (_END, "token that ends an answer")):
        ours, theirs = model.metadata.get(key), draft.metadata.get(key)
        if ours != theirs:
            return f"the {what} is {ours!r} in the model and {theirs!r} in the draft"
    known, drafted = _tokens(model), _tokens(draft)
    if abs(len(known) - len(drafted)) > _FILLING:
        return f"the model has {len(known)} tokens and the draft {len(drafted)}"
    for number, (one, other) in enumerate(zip(known, drafted, strict=False)):
        if one != other:
            return f"token {number} is {one!r} in the model and {other!r} in the draft"
    return None


def _tokens(header: GgufHeader) -> tuple[object, ...]:
    value = header.metadata.get(_TOKENS)
    return value if isinstance(value, tuple) else ()
