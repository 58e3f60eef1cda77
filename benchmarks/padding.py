"""Lab report 003's comparison: an epoch with dynamic padding beside 512 tokens for each sentence.

Both sides are this product's loop, with two values of ``--padding``; the report has ratios of
7.5 for full fine-tuning and 12 for LoRA, of DistilBERT on a GPU.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.corpus import SEED, Corpus, corpus
from benchmarks.harness import OURS, Row, Side, measure
from benchmarks.step_rate import setup_for
from tune_sentiment.provenance import cores
from tune_sentiment.train import TrainState
from tune_sentiment.trial_setup import build_state

BATCH_SIZE = 16
COMMON = {"batch_size": BATCH_SIZE, "weight_decay": 0.0, "warmup_ratio": 0.0, "lr": 2e-5}
PARAMS: dict[str, dict[str, Any]] = {  # as the report has them
    "full": COMMON,
    "lora": {
        **COMMON,
        "rank": 8,
        "alpha_over_rank": 4,
        "dropout": 0.0,
        "targets": "qkvo",
        "head_lr_over_lr": 1,
    },
}
FIXED = "padded to 512 tokens"
STEPS = 3
ROUNDS = 4  # each order twice


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of both methods."""
    torch.set_num_threads(cores())
    steps, rounds = (1, 1) if quick else (STEPS, ROUNDS)
    data = corpus("rotten_tomatoes", BATCH_SIZE * STEPS)
    rows = []
    for method in ("lora",) if quick else PARAMS:
        what = f"{method} on {data.name}, batch size {BATCH_SIZE}, dynamic padding"
        say(f"{what}, {steps} steps")
        sides: dict[str, Side] = {
            OURS: partial(_seconds, method, data, "dynamic", steps),
            FIXED: partial(_seconds, method, data, "fixed", steps),
        }
        rows += measure(sides, rounds, say).rows(what, sentences=BATCH_SIZE * steps)
    return rows


def _seconds(method: str, data: Corpus, padding: str, steps: int) -> float:
    """Of these many steps; building the model and a first, small step are left out."""
    tokens = data.train_tokens
    state: TrainState = build_state(setup_for(method, data, padding), PARAMS[method], SEED, tokens)
    state.model.train()
    batches = list(state.batches(tokens.lengths, steps))
    state.take_step(tokens, batches[0][:1])
    started = time.perf_counter()
    for items in batches:
        state.take_step(tokens, items)
    return time.perf_counter() - started
