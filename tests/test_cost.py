"""What a calibration says, on a clock that goes by the tokens that a model has read."""

import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.cost import CALIBRATION_SECONDS, CALIBRATION_STEPS, Calibration, calibrate
from tune_sentiment.tokens import Tokens, tokenise

LONGEST = 40  # words of a text
BATCH_SIZE = 16


class Timed(Tokens):
    """Tokens of which each takes so many seconds to read, in training as in evaluation."""

    seconds = 0.0
    now = 0.0
    batches = 0

    def batch(self, items: Any, padding: str = "dynamic") -> dict[str, Any]:
        Timed.now += Timed.seconds * int(self.lengths[items].sum())
        Timed.batches += 1
        return super().batch(items, padding)


@pytest.fixture
def calibrated(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], tuple[Calibration, float, int]]:
    """What is measured with tokens that take so long, their mean number, and batches read."""
    texts = ["film " * (1 + number % LONGEST) for number in range(30 * BATCH_SIZE)]
    tokens = tokenise(tiny, texts, np.arange(len(texts)) % 2, 2 * LONGEST)
    timed = Timed(**{field.name: getattr(tokens, field.name) for field in fields(tokens)})
    monkeypatch.setattr(time, "perf_counter", lambda: Timed.now)

    def made(seconds: float) -> tuple[Calibration, float, int]:
        Timed.seconds, Timed.batches = seconds, 0
        measured = calibrate(setup_for("lora", tiny), start_of("lora"), 3, timed)
        return measured, float(timed.lengths.mean()), Timed.batches

    return made


@pytest.mark.parametrize("seconds", [1e-4, 1e-2])
def test_a_sentence_takes_what_its_mean_number_of_tokens_takes(
    seconds: float, calibrated: Callable[[float], tuple[Calibration, float, int]]
) -> None:
    measured, tokens, _ = calibrated(seconds)
    assert measured.train == pytest.approx(seconds * tokens)
    assert measured.evaluate == pytest.approx(seconds * tokens)


def test_a_slow_machine_is_measured_in_fewer_steps(
    calibrated: Callable[[float], tuple[Calibration, float, int]],
) -> None:
    fast, slow = calibrated(1e-6)[2], calibrated(CALIBRATION_SECONDS / BATCH_SIZE)[2]
    assert fast - slow == CALIBRATION_STEPS - 1
