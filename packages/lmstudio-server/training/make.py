"""Makes the pocket model, from nothing to the two GGUF files: ``python make.py --out FOLDER``."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import torch
from evaluate import measure, print_table
from export import export
from network import PocketNetwork, Shape
from tokenizer import train_tokenizer
from training import Plan, train_stage

HERE = Path(__file__).parent
PLANS = {
    1: Plan(minutes=25, learning_rate=3e-3, seed=1),
    2: Plan(minutes=15, learning_rate=2e-3, seed=2),
    3: Plan(minutes=10, learning_rate=1.5e-3, seed=3),
}
SMOKE_PLANS = {
    stage: Plan(minutes=0.05, learning_rate=3e-3, batch_tokens=2048, pool=50, seed=stage)
    for stage in PLANS
}
SMOKE_SHAPE = Shape(width=32, layers=1, heads=1, hidden=64)
FILES = {
    "pocket-q8_0.gguf": ("pocket", "chat_template.jinja"),
    "pocket-think-q8_0.gguf": ("pocket-think", "chat_template_think.jinja"),
}


def make(out: Path, *, smoke: bool, threads: int) -> None:
    """Train, write the files to ``out``, and print how good they are.

    ``smoke``: only show in some seconds that every step works; the model is worth nothing.
    """
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(2_000 if smoke else 40_000)
    network = PocketNetwork(SMOKE_SHAPE if smoke else Shape())
    print(f"{network.parameter_count():,} parameters, {tokenizer.get_vocab_size()} tokens")
    for stage, plan in (SMOKE_PLANS if smoke else PLANS).items():
        train_stage(network, tokenizer, stage, plan, print)
    for file, (name, template) in FILES.items():
        text = (HERE / template).read_text("utf-8")
        export(network, tokenizer, text, name, out / file)
        print(f"wrote {out / file}")
    results = asyncio.run(measure(out / "pocket-think-q8_0.gguf", 20 if smoke else 400))
    print_table(results)


def main() -> None:
    """Read the command line and make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder for the files")
    parser.add_argument("--smoke", action="store_true", help="some seconds, worthless model")
    parser.add_argument("--threads", type=int, default=1, help="for the training (default: 1)")
    arguments = parser.parse_args()
    make(arguments.out, smoke=arguments.smoke, threads=arguments.threads)


if __name__ == "__main__":
    main()
