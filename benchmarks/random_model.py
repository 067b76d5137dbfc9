"""Makes a model of random weights, large enough that computing is what costs.

    python benchmarks/random_model.py FOLDER [--layers 11] [--width 768]

It has the pocket model's tokenizer and template and says nothing of sense. 11 layers of width 768 are
160 MB in float16.
"""

from __future__ import annotations

import argparse
import random
import struct
from pathlib import Path
from typing import Any

import lmstudio_server
from lmstudio_server.fetch.gguf_writer import GgufWriter, TargetTensor, TensorType
from lmstudio_server.library.gguf import read_header

POCKET = Path(lmstudio_server.__file__).parent / "pocket" / "pocket-q8_0.gguf"
BLOCK = 1 << 16
CONTEXT = 8192


def make(file: Path, layers: int = 11, width: int = 768) -> None:
    """Write the model to ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = _tensors(layers, width, vocabulary=1024)
    with file.open("wb") as stream:
        writer = GgufWriter(stream)
        writer.start(_metadata(layers, width), tensors)
        for tensor in tensors:
            _fill(writer, tensor)


def _metadata(layers: int, width: int) -> dict[str, Any]:
    arrays = frozenset(f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "merges"))
    pocket = read_header(POCKET, whole=arrays).metadata
    kept = {key: value for key, value in pocket.items() if key.startswith("tokenizer.")}
    lists = {key: list(value) for key, value in kept.items() if isinstance(value, tuple)}
    return {
        "general.architecture": "llama",
        "general.name": "random",
        "general.file_type": 1,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": width,
        "llama.block_count": layers,
        "llama.feed_forward_length": _inner(width),
        "llama.attention.head_count": width // 64,
        "llama.attention.head_count_kv": width // 64,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 64,
        "llama.vocab_size": 1024,
        **kept,
        **lists,
    }


def _inner(width: int) -> int:
    return width * 8 // 3


def _tensors(layers: int, width: int, vocabulary: int) -> list[TargetTensor]:
    inner, half, full = _inner(width), TensorType.F16, TensorType.F32
    found = [TargetTensor("token_embd.weight", (vocabulary, width), half)]
    for layer in range(layers):
        shapes = {
            "attn_q": (width, width),
            "attn_k": (width, width),
            "attn_v": (width, width),
            "attn_output": (width, width),
            "ffn_gate": (inner, width),
            "ffn_up": (inner, width),
            "ffn_down": (width, inner),
        }
        found += [
            TargetTensor(f"blk.{layer}.{name}.weight", shape, half)
            for name, shape in shapes.items()
        ]
        found += [
            TargetTensor(f"blk.{layer}.{name}.weight", (width,), full)
            for name in ("attn_norm", "ffn_norm")
        ]
    found.append(TargetTensor("output_norm.weight", (width,), full))
    found.append(TargetTensor("output.weight", (vocabulary, width), half))
    return found


def _fill(writer: GgufWriter, tensor: TargetTensor) -> None:
    """Write norms of one, and weights that repeat after some ten thousand random ones."""
    if tensor.type is TensorType.F32:
        data = struct.pack("<f", 1.0) * (tensor.size // 4)
    else:
        source = random.Random(tensor.name)
        spread = tensor.shape[-1] ** -0.5
        # A length that no row's is a multiple of, so that rows differ.
        block = struct.pack(f"<{BLOCK - 5}e", *(source.gauss(0, spread) for _ in range(BLOCK - 5)))
        data = (block * (tensor.size // len(block) + 1))[: tensor.size]
    writer.write(data)
    writer.end_tensor(tensor)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=11)
    parser.add_argument("--width", type=int, default=768)
    given = parser.parse_args()
    path = given.folder / "benchmarks" / "random" / "random-f16.gguf"
    make(path, given.layers, given.width)
    print(path, f"{path.stat().st_size / 1e6:.0f} MB")
