"""The models this package brings along."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from .gguf import read_header
from .model_file import ModelFile, parameters_of, quantization_bits, quantization_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PUBLISHER = "lmstudio-python"


@lru_cache(maxsize=1)
def bundled_models() -> Sequence[ModelFile]:
    """Return the bundled models. They cannot change while this process runs."""
    return (
        _pocket("pocket", "pocket-q8_0.gguf", "llm", "Pocket (tiny test model)"),
        _pocket(
            "pocket-think",
            "pocket-think-q8_0.gguf",
            "llm",
            "Pocket Think (tiny test model that thinks first)",
        ),
        _pocket(
            "pocket-embedding",
            "pocket-q8_0.gguf",
            "embedding",
            "Pocket Embedding (tiny test model; its vectors mean little)",
        ),
    )


# What was unpacked from an archive is needed by engines for as long as this process runs.
_unpacked = ExitStack()
atexit.register(_unpacked.close)


def _on_disk(name: str) -> Path:
    """A bundled model as a file: llama.cpp can read none inside of a zipapp."""
    packed = resources.files("lmstudio_server") / "pocket" / name
    return _unpacked.enter_context(resources.as_file(packed))


def _pocket(key: str, name: str, kind: Literal["llm", "embedding"], display_name: str) -> ModelFile:
    file = _on_disk(name)
    header = read_header(file)
    architecture = header.text("general.architecture")
    quantization = quantization_of(header, file.stem)
    return ModelFile(
        key=key,
        file=file,
        # The path tells models apart, so the embedding's is not the language model's.
        path=f"{PUBLISHER}/{key}/{name}",
        kind=kind,
        display_name=display_name,
        publisher=PUBLISHER,
        architecture=architecture,
        params_string=parameters_of(header),
        quantization_name=quantization,
        quantization_bits=quantization_bits(quantization),
        size_bytes=file.stat().st_size,
        max_context_length=header.integer(f"{architecture}.context_length") or 0,
        vision=False,
        trained_for_tool_use=kind == "llm",
        reasoning=key == "pocket-think",
    )
