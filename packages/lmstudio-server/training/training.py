"""Training one stage for a given time."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from dialogues import LEARNED, DialogueMaker
from rendering import segments
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from network import PocketNetwork
    from tokenizers import Tokenizer

LONGEST = 512
"""In tokens: longer dialogues are left out."""

PADDED_TO = 32
"""Lengths are rounded up to a multiple of this."""

Example = tuple[list[int], list[float]]
"""The tokens of a dialogue, and how much each counts."""


@dataclass(frozen=True)
class Plan:
    """How to train a stage.

    Attributes:
        minutes: How long, on the clock; the learning rate follows it.
        learning_rate: The highest.
        batch_tokens: How many tokens are computed at once.
        pool: How many dialogues are sorted by length at once, to waste little on padding.
        seed: For the dialogues and their order.
    """

    minutes: float
    learning_rate: float
    batch_tokens: int = 6144
    pool: int = 1500
    seed: int = 1


def train_stage(
    network: PocketNetwork,
    tokenizer: Tokenizer,
    stage: int,
    plan: Plan,
    report: Callable[[str], None],
) -> None:
    """Train ``network`` on the dialogues of ``stage``; ``report`` is told how it goes."""
    optimizers = _optimizers(network, plan.learning_rate)
    began = last_report = time.monotonic()
    step, losses, hits = 0, 0.0, 0.0
    since = 0
    for ids, weights in _batches(tokenizer, stage, plan):
        done = (time.monotonic() - began) / (plan.minutes * 60)
        if done >= 1 and step > 0:
            break
        rate = plan.learning_rate * learning_rate_share(step, done)
        loss, accuracy = _train_batch(network, optimizers, rate, ids, weights)
        step, since, losses, hits = step + 1, since + 1, losses + loss, hits + accuracy
        if time.monotonic() - last_report > 20:
            last_report = time.monotonic()
            report(f"stage {stage}, {done:4.0%}: loss {losses / since:.4f}, {hits / since:.1%} hit")
            since, losses, hits = 0, 0.0, 0.0
    report(f"stage {stage}: {step} steps")


def learning_rate_share(step: int, done: float) -> float:
    """Return what share of the highest learning rate to use: up, level, then down a cosine."""
    warm = min(1.0, (step + 1) / 150)
    if done < 0.3:
        return warm
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (min(done, 1.0) - 0.3) / 0.7)))


def _optimizers(network: PocketNetwork, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside, which learn much faster with it; AdamW for the rest."""
    matrices = [p for n, p in network.named_parameters() if p.dim() == 2 and "embedding" not in n]
    rest = [network.embedding.weight, *(p for p in network.parameters() if p.dim() < 2)]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _train_batch(
    network: PocketNetwork,
    optimizers: list[torch.optim.Optimizer],
    rate: float,
    ids: torch.Tensor,
    weights: torch.Tensor,
) -> tuple[float, float]:
    """Take one step; return the loss and the share of right guesses on what is to be learned."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = network(ids[:, :-1])
    counted = weights[:, 1:] > 0
    targets, weights = ids[:, 1:][counted], weights[:, 1:][counted]
    logits = network.logits(hidden.float()[counted])
    losses = functional.cross_entropy(logits, targets, reduction="none")
    loss = (losses * weights).sum() / weights.sum()
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    learned = weights == LEARNED
    right = (logits[learned].argmax(-1) == targets[learned]).float().mean()
    return losses[learned].mean().item(), right.item()


def _examples(tokenizer: Tokenizer, stage: int, seed: int) -> Iterator[Example]:
    maker = DialogueMaker(stage, seed)
    while True:
        pieces = segments(maker.one())
        ids: list[int] = []
        weights: list[float] = []
        # Each segment is encoded alone: no token may reach over from the context to the answer.
        encodings = tokenizer.encode_batch([piece.text for piece in pieces])
        for piece, encoding in zip(pieces, encodings, strict=True):
            ids += encoding.ids
            weights += [piece.weight] * len(encoding.ids)
        if len(ids) <= LONGEST:
            yield ids, weights


def _batches(
    tokenizer: Tokenizer, stage: int, plan: Plan
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of dialogues of about the same length, for ever."""
    examples = _examples(tokenizer, stage, plan.seed + 100)
    order = random.Random(plan.seed)
    while True:
        pool = sorted((next(examples) for _ in range(plan.pool)), key=lambda pair: len(pair[0]))
        batches: list[list[Example]] = [[]]
        for example in pool:
            length = _padded(len(example[0]))
            if batches[-1] and (len(batches[-1]) + 1) * length > plan.batch_tokens:
                batches.append([])
            batches[-1].append(example)
        order.shuffle(batches)
        yield from (_tensors(batch) for batch in batches)


def _padded(length: int) -> int:
    return -(-length // PADDED_TO) * PADDED_TO + 1


def _tensors(batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    length = _padded(max(len(ids) for ids, _ in batch))
    ids = torch.zeros(len(batch), length, dtype=torch.long)
    weights = torch.zeros(len(batch), length)
    for row, (tokens, counts) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        weights[row, : len(tokens)] = torch.tensor(counts)
    return ids, weights
