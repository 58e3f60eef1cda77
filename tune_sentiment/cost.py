"""What a study will cost where it runs, from a short calibration before it starts."""

import math
import time
from dataclasses import dataclass
from typing import Any

from tune_sentiment.errors import require
from tune_sentiment.progress import duration
from tune_sentiment.provenance import cores, gpus

CALIBRATION_STEPS = 20
CALIBRATION_SECONDS = 4.0  # a slow machine is told apart after fewer steps
LONG_SECONDS = 1_800.0  # from here on, shorter ways are named


@dataclass(frozen=True)
class Calibration:
    """Seconds per sentence of mean length, measured with the study's start configuration.

    Args:
        train: One training sentence, forward and backward.
        evaluate: One sentence of an evaluation.
    """

    train: float
    evaluate: float


@dataclass(frozen=True)
class Hardware:
    """What all trainings together run on.

    Args:
        name: What it is called.
        cores: CPU cores.
        cards: GPUs.
    """

    name: str
    cores: int
    cards: float

    @classmethod
    def here(cls) -> "Hardware":
        """What this machine has."""
        return cls("this machine", cores(), gpus())


def check_price(price_per_hour: float | None) -> None:
    """Refuse a price that is none.

    Raises:
        UsageError: If it is not a number from 0 on.
    """
    is_price = price_per_hour is None or (math.isfinite(price_per_hour) and price_per_hour >= 0)
    require(is_price, "price_per_hour >= 0", price_per_hour)


def calibrate(setup: Any, params: dict[str, Any], seed: int, train: Any) -> Calibration:
    """Time a few optimizer steps and a few batches of an evaluation; nothing is kept.

    A batch's sentences are of one length: what is timed is a token, of which a mean sentence has so
    many.

    Args:
        setup: A neural study's ``TrialSetup``.
        params: The configuration to time.
        seed: The study's seed.
        train: Training tokens.
    """
    import numpy as np
    import torch

    from tune_sentiment.classifiers import NeuralClassifier
    from tune_sentiment.tokens import Part, training_batches
    from tune_sentiment.trial_setup import build_state

    torch.set_num_threads(setup.num_threads)
    state = build_state(setup, params, seed, train)
    state.on_step(1.0)  # what begins to train later is timed, too
    state.on_step = lambda share: None
    state.model.train()
    size, padding = state.config.batch_size, state.config.padding
    batches = training_batches(train.lengths, size, padding, seed, 0)[: CALIBRATION_STEPS + 1]
    state.take_step(train, batches[0])  # the first step allocates
    lengths = train.lengths if padding != "fixed" else np.ones(len(train))  # each costs as much
    started = time.perf_counter()
    seen = 0  # tokens
    for items in batches[1:] or batches:
        state.take_step(train, items).item()
        seen += lengths[items].sum()
        if time.perf_counter() - started > CALIBRATION_SECONDS:
            break
    train_seconds, length = (time.perf_counter() - started) / seen, lengths.mean()
    part = np.concatenate(batches[:8])
    sample = Part(train, part)
    started = time.perf_counter()
    NeuralClassifier(state.model, setup.plan["precision"]).scores(sample)
    evaluation_seconds = (time.perf_counter() - started) / lengths[part].sum()
    return Calibration(float(train_seconds * length), float(evaluation_seconds * length))


def forecast_seconds(
    study: Any, calibration: Calibration, *, trials: int, confirmations: int, concurrency: int
) -> float:
    """Seconds of the trainings still to come, if nothing is stopped early."""
    plan = study.plan
    validation = study.source.splits["validation"].rows
    training = plan["max_epochs"] * (
        study.num_train * calibration.train
        + plan["evaluations_per_epoch"] * validation * calibration.evaluate
    )
    rounds = trials / min(concurrency, max(1, trials))
    confirming = confirmations / min(concurrency, max(1, confirmations))
    return float(training * (rounds + confirming))


def cost_line(study: Any, seconds: float, there: Hardware) -> str:
    """The forecast as one line, with shorter ways where it is long."""
    what = f"{there.cores} CPU" if study.source.device == "cpu" else f"{there.cards:g} GPU"
    line = f"about {duration(seconds)} on {there.name} ({what}) if no trial is stopped early"
    if seconds < LONG_SECONDS:
        return line
    config = study.config
    shorter = []
    if config.model != "minilm":
        shorter.append("--model minilm")
    if study.num_train > 2_000:
        shorter.append("--train-samples 2000")
    if config.time_budget_minutes is None and seconds > 5_400:
        shorter.append("--time-budget-minutes 60")
    return line + (f". Shorter: {', '.join(shorter)}" if shorter else "")
