"""One training: an epoch beside transformers' Trainer, in real tokens per second.

Padding counts for nothing. Each side trains one epoch with batch size 16 on the same sentences; its
model is built, and its data tokenised, before the clock starts.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.corpus import MAX_LENGTH, SEED, Corpus, corpus
from benchmarks.floors import training_flops
from benchmarks.harness import NULL, OURS, Row, Side, measure, missing, sgemm_gflops
from benchmarks.peers import trainer
from tune_sentiment.config import StudyConfig
from tune_sentiment.provenance import cores
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import fit
from tune_sentiment.trial_setup import TrialSetup, build_state

COMMON = {"batch_size": 16, "weight_decay": 0.01, "warmup_ratio": 0.0}
LORA = {"rank": 8, "alpha_over_rank": 2, "dropout": 0.1, "targets": "qv", "head_lr_over_lr": 1}
PARAMS: dict[str, dict[str, Any]] = {
    "full": {**COMMON, "lr": 2e-5},
    "lora": {**COMMON, "lr": 2e-4, **LORA},
}
SENTENCES = {"rotten_tomatoes": 512, "sst2": 1024}
ROUNDS = 5
FIXED_ROUNDS, FIXED_STEPS = 2, 2  # of 512 tokens a sentence: an epoch would take minutes
DYNAMIC, GROUPED, FIXED = "Trainer", "Trainer, grouped by length", "Trainer, 512 tokens each"
TARGETS = {
    "rotten_tomatoes": {DYNAMIC: 1.9, GROUPED: 1.2, FIXED: 20.0},
    "sst2": {DYNAMIC: 2.7, GROUPED: 1.2},
}

NOT_RUN = [
    missing("full on sst2", FIXED, "its sentences are half as long, so the ratio would be larger"),
    missing("one training on a GPU", DYNAMIC, "`gpu` has it, where there is one"),
]


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of both methods on both data sets."""
    torch.set_num_threads(cores())
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rotten_tomatoes",) if quick else SENTENCES:
            data = corpus(name, 64 if quick else SENTENCES[name])
            for method in ("lora",) if quick else PARAMS:
                what, rounds = f"{method} on {data.name}", 1 if quick else ROUNDS
                speed, targets = sgemm_gflops(cores()), TARGETS[data.name]
                ours = training(method, data)
                rows += beside_trainer(what, ours, Path(folder), rounds, speed, say, targets)
        if not quick:
            rows += _beside_fixed(corpus("rotten_tomatoes", 512), Path(folder), say)
            rows += _lora_beside_full(corpus("rotten_tomatoes", 512), say)
            rows += NOT_RUN
    return rows


@dataclass(frozen=True)
class Training:
    """One epoch that both sides train.

    Args:
        setup: What a search would give the trial.
        params: Its hyperparameters.
        data: What it is trained on.
    """

    setup: TrialSetup
    params: dict[str, Any]
    data: Corpus

    def seconds(self, losses: dict[str, list[float]]) -> float:
        """Train, and keep the loss."""
        state = build_state(self.setup, self.params, SEED, self.data.train_tokens)
        few = _first_two(self.data.validation_tokens)
        for evaluation in fit(state, self.data.train_tokens, few):
            losses.setdefault(OURS, []).append(evaluation.train_loss or math.nan)
        return state.train_seconds


def beside_trainer(
    what: str,
    ours: Training,
    folder: Path,
    rounds: int,
    gflops: float,
    say: Callable[[str], None],
    targets: dict[str, float] | None = None,
    **changes: Any,
) -> list[Row]:
    """One training beside the Trainer in two settings, and beside itself.

    Args:
        what: What is trained.
        ours: The training.
        folder: For the Trainer.
        rounds: How often each side runs.
        gflops: Speed of a large matrix product, for the least time.
        say: Told each cost.
        targets: Ratio hoped for, by peer.
        **changes: More of the Trainer's arguments.
    """
    data, params, method = ours.data, ours.params, ours.setup.method
    dataset = trainer.tokenised(data.backbone, data.train, None)
    losses: dict[str, list[float]] = {}

    def peer(name: str, **more: Any) -> float:
        done = trainer.train(
            data.backbone, dataset, params, folder, method=method, **changes, **more
        )
        losses.setdefault(name, []).append(done.train_loss)
        return done.seconds

    sides: dict[str, Side] = {
        OURS: partial(ours.seconds, losses),
        DYNAMIC: partial(peer, DYNAMIC),
        GROUPED: partial(peer, GROUPED, **trainer.BEST_TUNED),
        NULL: partial(ours.seconds, losses),
    }
    say(f"{what}, {len(data.train)} sentences")
    found = measure(sides, rounds, say)
    tokens = int(data.train_tokens.lengths.sum())
    limit = training_flops(ours.setup, params, data.train_tokens) / (gflops * 1e9)
    return found.rows(
        what,
        targets,
        limit,
        sentences=len(data.train),
        real_tokens=tokens,
        train_loss={name: float(np.mean(values)) for name, values in losses.items()},
    )


def setup_for(
    method: str,
    data: Corpus,
    padding: str = StudyConfig.padding,
    max_epochs: int = 1,
    device: str = "cpu",
    precision: str = "fp32",
) -> TrialSetup:
    """What a search would give its trials."""
    return TrialSetup(
        method=method,
        backbone=data.backbone,
        classes=("negative", "positive"),
        metric="val_accuracy",
        plan={
            "max_epochs": max_epochs,
            "evaluations_per_epoch": 1,
            "padding": padding,
            "precision": precision,
        },
        device=device,
        num_threads=cores(),
        max_length=MAX_LENGTH,
    )


def training(method: str, data: Corpus) -> Training:
    """A method's training with the benchmark's hyperparameters."""
    return Training(setup_for(method, data), PARAMS[method], data)


def _first_two(tokens: Tokens) -> Tokens:
    """An evaluation that takes no time."""
    offsets = tokens.offsets[:3]
    return replace(tokens, ids=tokens.ids[: offsets[-1]], offsets=offsets, labels=tokens.labels[:2])


def _beside_fixed(data: Corpus, folder: Path, say: Callable[[str], None]) -> list[Row]:
    """Every sentence padded to 512 tokens, as two of the lab reports did: a few steps, scaled."""
    ours, method = training("full", data), "full"
    dataset = trainer.tokenised(data.backbone, data.train, MAX_LENGTH)
    steps = math.ceil(len(data.train) / COMMON["batch_size"])

    def fixed() -> float:
        done = trainer.train(
            data.backbone, dataset, ours.params, folder, method=method, max_steps=FIXED_STEPS
        )
        return done.seconds * steps / FIXED_STEPS

    what = f"{method} on {data.name}"
    say(f"{what}, 512 tokens each")
    found = measure({OURS: partial(ours.seconds, {}), FIXED: fixed}, FIXED_ROUNDS, say)
    note = f"extrapolated from {FIXED_STEPS} steps of {steps}"
    return found.rows(what, TARGETS[data.name], sentences=len(data.train), note=note)


def _lora_beside_full(data: Corpus, say: Callable[[str], None]) -> list[Row]:
    """Report 000's claim that LoRA trains faster, on our own loop."""
    sides = {
        OURS: partial(training("lora", data).seconds, {}),
        "our full fine-tuning": partial(training("full", data).seconds, {}),
    }
    say(f"lora beside full on {data.name}")
    found = measure(sides, ROUNDS, say)
    return found.rows(f"lora on {data.name}", {"our full fine-tuning": 1.0})
