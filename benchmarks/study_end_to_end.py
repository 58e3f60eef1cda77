"""A whole study, from the start of its process to a model that can be used: 12 LoRA trials.

All sides search the learning rate alone, for as many trials and epochs, on the same sentences; ours
also fits the SVM that it compares with, trains its winner again with a fresh seed, opens the test
split and writes the report. The second row is the time to the first evaluation that reaches the
target, which is fixed beforehand.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.corpus import MODEL
from benchmarks.harness import OURS, Rounds, Row, Side, measure, missing
from benchmarks.processes import run_side
from benchmarks.step_rate import PARAMS

ROUNDS = 2
STUDY: dict[str, Any] = {
    "dataset": "rotten_tomatoes",
    "model": MODEL,
    "train_samples": 1024,
    "trials": 12,
    "max_epochs": 3,
    "params": {name: value for name, value in PARAMS["lora"].items() if name != "lr"},
}
QUICK = {**STUDY, "train_samples": 64, "trials": 2, "max_epochs": 1}
TARGET = 0.74  # of validation accuracy
OPTUNA, RAY = "hyperparameter_search(optuna)", "hyperparameter_search(ray)"
TUNE = "Ray Tune's Tuner with OptunaSearch and ASHA"
KINDS = {OPTUNA: "optuna", RAY: "ray", TUNE: "tune"}
TARGETS = {"a model": 2.5, "the target": 6.0}


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the time to a model, and to the target."""
    asked = QUICK if quick else STUDY
    reached: dict[str, list[float]] = {}
    counted: dict[str, list[int]] = {}

    def side(name: str, module: str, more: dict[str, Any]) -> float:
        seconds, found = run_side(module, {**asked, **more, "started": time.time()})
        times = [at for at, score in found["evaluations"] if score >= TARGET]
        reached.setdefault(name, []).append(min(times, default=float("inf")))
        counted.setdefault(name, []).append(len(found["evaluations"]))
        return seconds

    sides: dict[str, Side] = {OURS: partial(side, OURS, "benchmarks.study_ours", {})}
    for name, kind in KINDS.items():
        if not quick or kind == "optuna":
            sides[name] = partial(side, name, "benchmarks.peers.studies", {"kind": kind})
    what = f"{asked['trials']} LoRA trials, {asked['train_samples']} sentences"
    say(what)
    measured = measure(sides, 1 if quick else ROUNDS, say)
    targets = {key: dict.fromkeys(KINDS, value) for key, value in TARGETS.items()}
    rows = measured.rows(f"{what}, to a model", targets["a model"], evaluations=counted)
    for row in rows:
        mine, theirs = (sum(counted[name]) / len(counted[name]) for name in (OURS, row["peer"]))
        row["note"] = f"{theirs:.0f} evaluations, ours {mine:.0f}"
    return [*rows, *_to_target(f"{what}, to {TARGET:.0%}", reached, targets["the target"])]


def _to_target(what: str, reached: dict[str, list[float]], targets: dict[str, float]) -> list[Row]:
    there = {name: times for name, times in reached.items() if max(times) < float("inf")}
    if OURS not in there:
        return [missing(what, peer, "ours did not get there") for peer in reached if peer != OURS]
    gone = [missing(what, peer, "it did not get there") for peer in reached if peer not in there]
    return [*Rounds(there).rows(what, targets), *gone]
