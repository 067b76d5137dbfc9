"""A BERT sentence-embedding model as a GGUF file: names, settings and vocabulary.

The input are the files that the transformers library writes: ``config.json``, ``vocab.txt`` and
``model.safetensors``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from .errors import FetchError
from .gguf_writer import TargetTensor, TensorType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .gguf_writer import Value
    from .recipes import Recipe
    from .safetensors import SourceTensor

__all__ = ["metadata", "target_tensor"]

_MEAN_POOLING = 1
_MOSTLY_F16 = 1
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# llama.cpp finds the beginnings of words by this mark, where BERT marks their continuations.
_WORD_START = "\u2581"

_PARTS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
# Small, and looked up rather than multiplied with: their full precision costs nothing.
_FULL_PRECISION = ("position_embd.", "token_types.")


class _Token(IntEnum):
    """llama.cpp's kinds of tokens."""

    NORMAL = 1
    CONTROL = 3
    UNUSED = 5


def target_tensor(source: SourceTensor) -> TargetTensor | None:
    """Return what a tensor becomes, or ``None`` for those that an embedding does not need."""
    name = _target_name(source.name)
    if name is None:
        return None
    if source.type != "F32":
        raise FetchError(f"The tensor {source.name!r} is of type {source.type}; F32 was expected.")
    exact = len(source.shape) == 1 or name.startswith(_FULL_PRECISION)
    return TargetTensor(name, source.shape, TensorType.F32 if exact else TensorType.F16)


def _target_name(name: str) -> str | None:
    part, _, kind = name.removeprefix("bert.").rpartition(".")
    if part in _PARTS:
        return f"{_PARTS[part]}.{kind}"
    if part.startswith("encoder.layer."):
        number, _, layer_part = part.removeprefix("encoder.layer.").partition(".")
        if number.isdigit() and layer_part in _LAYER_PARTS:
            return f"blk.{number}.{_LAYER_PARTS[layer_part]}.{kind}"
    if part.startswith("pooler") or name.endswith("position_ids"):
        return None
    raise FetchError(f"The weights hold a tensor that this conversion does not know: {name!r}.")


def metadata(
    recipe: Recipe, config: Mapping[str, Any], vocabulary: Sequence[str]
) -> dict[str, Value]:
    """Return the GGUF metadata.

    Args:
        recipe: How the model is made.
        config: The model's own configuration.
        vocabulary: Its tokens, in the order of their ids.

    Raises:
        FetchError: A setting or a special token is missing.
    """
    try:
        return {
            "general.architecture": "bert",
            "general.type": "model",
            "general.name": recipe.name,
            "general.license": recipe.license,
            "general.file_type": _MOSTLY_F16,
            "bert.context_length": int(config["max_position_embeddings"]),
            "bert.embedding_length": int(config["hidden_size"]),
            "bert.block_count": int(config["num_hidden_layers"]),
            "bert.feed_forward_length": int(config["intermediate_size"]),
            "bert.attention.head_count": int(config["num_attention_heads"]),
            "bert.attention.layer_norm_epsilon": float(config["layer_norm_eps"]),
            "bert.attention.causal": False,
            "bert.pooling_type": _MEAN_POOLING,
            **_tokenizer(vocabulary, int(config["type_vocab_size"])),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise FetchError(f"The model's config.json is not as expected: {error!r}.") from error


def _tokenizer(vocabulary: Sequence[str], type_count: int) -> dict[str, Value]:
    missing = [token for token in _SPECIAL if token not in vocabulary]
    if missing:
        raise FetchError(f"The model's vocabulary lacks the tokens {', '.join(missing)}.")
    number = {token: index for index, token in enumerate(vocabulary)}
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": type_count,
        "tokenizer.ggml.tokens": [_spelling(token) for token in vocabulary],
        "tokenizer.ggml.token_type": [int(_kind(token)) for token in vocabulary],
        "tokenizer.ggml.unknown_token_id": number["[UNK]"],
        "tokenizer.ggml.seperator_token_id": number["[SEP]"],  # spelled so in the format
        "tokenizer.ggml.padding_token_id": number["[PAD]"],
        "tokenizer.ggml.mask_token_id": number["[MASK]"],
        "tokenizer.ggml.bos_token_id": number["[CLS]"],
        "tokenizer.ggml.eos_token_id": number["[SEP]"],
    }


def _kind(token: str) -> _Token:
    if token in _SPECIAL:
        return _Token.CONTROL
    return _Token.UNUSED if token.startswith("[unused") else _Token.NORMAL


def _spelling(token: str) -> str:
    if token in _SPECIAL:
        return token
    return token[2:] if token.startswith("##") else _WORD_START + token
