"""What is known of one model on disk, and how it is read from a GGUF header. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .gguf import GgufHeader

# By ``general.file_type``, llama.cpp's number for a whole file's quantization.
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
}
_QUANTIZATION_IN_NAME = re.compile(
    r"[-._]((?:I?Q|TQ)\d(?:_[A-Z0-9]+)*|MXFP4|BF16|F16|F32)$", re.IGNORECASE
)
_EMBEDDING_ARCHITECTURES = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    }
)
_POOLING_NONE = 0


@dataclass(frozen=True)
class ModelFile:
    """A model on disk.

    Attributes:
        key: What users call it by; unique in a library.
        file: The file to load (of a split model the first).
        path: Its place as LM Studio shows it: ``publisher/repository/file.gguf``.
        size_bytes: The size of all its files.
        max_context_length: In tokens; 0 if the file does not say.
        mmproj: The file with the part that sees, if there is one.
        problem: Why it cannot be loaded, or ``None``. A broken file is listed, so that one can see
            that it is there and what is wrong.
        format: The file's format: decides which engine loads it.
        engine: The engine that offers it, for models that are no files here.
        model: That engine's own name for it.
        variants: The keys of all its variants (quantizations), where it has several.
        selected_variant: Which of them this is.
        load_defaults: Load settings that hold where a client says nothing.
        prediction_defaults: The same for predictions.
    """

    key: str
    file: Path
    path: str
    kind: Literal["llm", "embedding"]
    display_name: str
    publisher: str
    architecture: str | None
    params_string: str | None
    quantization_name: str | None
    quantization_bits: int | None
    size_bytes: int
    max_context_length: int
    vision: bool
    trained_for_tool_use: bool
    reasoning: bool
    mmproj: Path | None = None
    problem: str | None = None
    format: str = "gguf"
    engine: str | None = None
    model: str | None = None
    variants: tuple[str, ...] = ()
    selected_variant: str | None = None
    load_defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prediction_defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


def is_model(header: GgufHeader) -> bool:
    """Whether a file is a model, and not an adapter, a projector or an importance matrix."""
    if header.text("general.architecture") == "clip":
        return False
    return header.text("general.type") in (None, "model")


def kind_of(header: GgufHeader) -> Literal["llm", "embedding"]:
    """Return what a model is for, by its architecture or how it pools."""
    architecture = header.text("general.architecture") or ""
    pooling = header.integer(f"{architecture}.pooling_type")
    if architecture in _EMBEDDING_ARCHITECTURES or (pooling or _POOLING_NONE) != _POOLING_NONE:
        return "embedding"
    return "llm"


def quantization_of(header: GgufHeader | None, stem: str) -> str | None:
    """Return the name of the quantization, by the header or else by the file's name."""
    if header is not None:
        name = _FILE_TYPES.get(header.integer("general.file_type") or 0)
        if name is not None and "general.file_type" in header.metadata:
            return name
    match = _QUANTIZATION_IN_NAME.search(stem)
    return match.group(1).upper() if match else None


def quantization_bits(name: str | None) -> int | None:
    """Return how many bits a weight has, roughly: the first number in the quantization's name."""
    match = re.search(r"\d+", name or "")
    return int(match.group()) if match else None


def without_quantization(stem: str) -> str:
    """Return a file's name without the quantization at its end."""
    return _QUANTIZATION_IN_NAME.sub("", stem)


def parameters_of(header: GgufHeader) -> str | None:
    """Return the number of parameters as people write it: "7B"."""
    label = header.text("general.size_label")
    return label or count_words(header.parameter_count)


def count_words(count: int) -> str | None:
    """Return a number of parameters in words: 1_235_814_432 is "1.2B"; 0 is unknown."""
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            number = f"{count / size:.0f}" if count >= 10 * size else f"{count / size:.1f}"
            return number.removesuffix(".0") + unit
    return str(count) if count else None


def uses_tools(header: GgufHeader) -> bool:
    """Whether the chat template knows tools."""
    return re.search(r"\btools\b", header.text("tokenizer.chat_template") or "") is not None


def reasons(header: GgufHeader) -> bool:
    """Whether the chat template offers thinking."""
    template = header.text("tokenizer.chat_template") or ""
    return re.search(r"enable_thinking|add_generation_prompt[^\0]*<think>", template) is not None
