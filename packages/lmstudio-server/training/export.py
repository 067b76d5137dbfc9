"""Writing a network as a GGUF file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import gguf
import numpy as np
from tokenizer import CONTROL_TOKENS

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from network import Block, PocketNetwork
    from tokenizers import Tokenizer

QUANTIZATION = gguf.GGMLQuantizationType.Q8_0


def export(
    network: PocketNetwork, tokenizer: Tokenizer, template: str, name: str, path: Path
) -> None:
    """Write ``network`` to ``path``, with Q8_0 matrices and ``template`` as its chat template."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    writer.add_license("MIT")
    writer.add_description("Tiny test model trained on generated dialogues")
    _add_shape(writer, network)
    _add_tokenizer(writer, tokenizer)
    writer.add_chat_template(template)
    _add(writer, "token_embd.weight", network.embedding.weight)
    _add(writer, "output_norm.weight", network.output_norm.weight)
    for number, block in enumerate(network.blocks):
        _add_block(writer, f"blk.{number}.", block)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, network: PocketNetwork) -> None:
    shape = network.shape
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_size_label(f"{network.parameter_count() / 1e6:.1f}M")


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    description = json.loads(tokenizer.to_str())
    ids = {**description["model"]["vocab"]}
    types = dict.fromkeys(ids, gguf.TokenType.NORMAL)
    for token in description["added_tokens"]:
        text = token["content"]
        ids[text] = token["id"]
        # Markup is text to llama.cpp's parser; control tokens never show.
        control = text in CONTROL_TOKENS
        types[text] = gguf.TokenType.CONTROL if control else gguf.TokenType.USER_DEFINED
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([int(types[token]) for token in tokens])
    merges = description["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)


def _add_block(writer: gguf.GGUFWriter, prefix: str, block: Block) -> None:
    query, key, value = block.query_key_value.weight.chunk(3, 0)
    gate, up = block.gate_up.weight.chunk(2, 0)
    tensors = {
        "attn_norm": block.attention_norm.weight,
        "ffn_norm": block.feed_norm.weight,
        "attn_q": query,
        "attn_k": key,
        "attn_v": value,
        "attn_output": block.attention_out.weight,
        "ffn_gate": gate,
        "ffn_up": up,
        "ffn_down": block.down.weight,
    }
    for name, tensor in tensors.items():
        _add(writer, f"{prefix}{name}.weight", tensor)


def _add(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor) -> None:
    values = tensor.detach().float().numpy()
    if values.ndim == 1:
        writer.add_tensor(name, values.astype(np.float32))
    else:
        quantized = gguf.quants.quantize(values, QUANTIZATION)
        writer.add_tensor(name, quantized, raw_dtype=QUANTIZATION)
