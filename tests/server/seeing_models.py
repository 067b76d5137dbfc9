"""A model that sees: the pocket model with a projector of random weights beside it.

What it says about a picture means nothing; that it answers shows that the picture went through.
"""

from __future__ import annotations

import random
import shutil
import struct
import zlib
from array import array
from math import prod
from typing import TYPE_CHECKING, Any

from gguf_files import gguf
from pocket_models import POCKET

if TYPE_CHECKING:
    from pathlib import Path

SIZE, PATCH, WIDTH, FEED_FORWARD, LAYERS = 56, 14, 32, 64, 2
MODEL_WIDTH = 128
IMAGE_TOKENS = (SIZE // PATCH) ** 2


def projector() -> bytes:
    """The file of the part that sees: a vision transformer, and two layers to the model's width."""
    vision: dict[str, Any] = {
        "image_size": SIZE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": FEED_FORWARD,
        "block_count": LAYERS,
        "projection_dim": MODEL_WIDTH,
        "attention.head_count": 2,
        "attention.layer_norm_epsilon": 1e-5,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    metadata: dict[str, Any] = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        **{f"clip.vision.{key}": value for key, value in vision.items()},
    }
    shapes = _shapes()
    whole = gguf(metadata, [(name, shape[::-1]) for name, shape in shapes.items()])
    numbers = random.Random(1)
    weights = array("f")
    for name, shape in shapes.items():
        exact = name.endswith(".bias") or "ln" in name
        for _ in range(prod(shape)):
            value = numbers.gauss(0, 0.3)
            weights.append(float(name.endswith(".weight")) if exact else value)
    data = struct.pack(f"<{len(weights)}f", *weights)
    return whole[: -len(data)] + data


def _shapes() -> dict[str, tuple[int, ...]]:
    """The tensors, the longest stride first."""
    shapes: dict[str, tuple[int, ...]] = {
        "v.class_embd": (WIDTH,),
        "v.patch_embd.weight": (WIDTH, 3, PATCH, PATCH),
        "v.position_embd.weight": (IMAGE_TOKENS + 1, WIDTH),
    }
    layers: dict[str, tuple[int, ...]] = {"v.pre_ln": (WIDTH,)}
    for number in range(LAYERS):
        layers |= {f"v.blk.{number}.{name}": (WIDTH,) for name in ("ln1", "ln2")}
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            layers[f"v.blk.{number}.{name}"] = (WIDTH, WIDTH)
        layers[f"v.blk.{number}.ffn_up"] = (FEED_FORWARD, WIDTH)
        layers[f"v.blk.{number}.ffn_down"] = (WIDTH, FEED_FORWARD)
    layers["mm.0"] = (MODEL_WIDTH, WIDTH)
    layers["mm.2"] = (MODEL_WIDTH, MODEL_WIDTH)
    for name, shape in layers.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


def put_seeing_model(models: Path) -> Path:
    """Put the model and its projector into a models folder, where it is called "seeing"."""
    folder = models / "tests" / "seeing"
    folder.mkdir(parents=True)
    shutil.copy(POCKET, folder / "seeing.gguf")
    (folder / "mmproj-seeing.gguf").write_bytes(projector())
    return folder


def png(red: int, green: int, blue: int, size: int = 20) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
