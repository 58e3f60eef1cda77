"""A whole study, from the start of its process to a model that can be used: 12 LoRA trials.

All sides search the learning rate alone, for as many trials and epochs, on the same sentences, each
round with another seed; each stops early as it does. Ours tries its method's start points first, as
it does for everybody; it also fits the SVM that it compares with, and trains its winner again with
a fresh seed before the model is there. What it does after that (the test split, opened once, and
the report) is in the note. The target of the second row, a validation accuracy, was fixed
beforehand. A run that was cut off goes on after its last whole round in
``records/study_end_to_end.jsonl``, if it is of the same commit.
"""

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.corpus import MODEL
from benchmarks.harness import OURS, Rounds, Row, Side, measure, missing
from benchmarks.processes import run_side
from benchmarks.step_rate import PARAMS
from tune_sentiment.provenance import commit

ROUNDS = 2
KEPT = Path(__file__).resolve().parent / "records" / "study_end_to_end.jsonl"
STUDY: dict[str, Any] = {
    "dataset": "rotten_tomatoes",
    "model": MODEL,
    "seed": 42,
    "device": "cpu",
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
TO_MODEL, TO_TARGET = dict.fromkeys(KINDS, 2.5), dict.fromkeys(KINDS, 6.0)
FROZEN: Row = {
    "what": "64 configurations of svm and freeze",
    "peer": "",
    "value": "`frozen_sweep` has them, from the start of each process, too",
    "is_met": None,
}

Found = dict[str, Any]


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the time to a model, and to the target."""
    if quick:
        return beside(QUICK, [OPTUNA], 1, say)
    return [*beside(STUDY, list(KINDS), ROUNDS, say, KEPT), FROZEN]


def beside(
    asked: dict[str, Any],
    peers: list[str],
    rounds: int,
    say: Callable[[str], None],
    kept: Path | None = None,
) -> list[Row]:
    """The same rows of one study, beside some peers.

    Args:
        asked: As ``STUDY``.
        peers: Of ``KINDS``.
        rounds: How often each side runs.
        say: Told each cost.
        kept: Where each study's figures are kept, and taken from if they are there.
    """
    found: dict[str, list[Found]] = {}
    ended = _whole_rounds(kept, asked, 1 + len(peers)) if kept else []

    def side(name: str, module: str, **more: str) -> float:
        done = found.setdefault(name, [])
        if ended:  # in the same order
            done.append(ended.pop(0))
        else:
            work = {**asked, **more, "seed": asked["seed"] + len(done), "started": time.time()}
            seconds, told = run_side(module, work)
            done.append({"side": name, **told, "seconds": seconds})
            if kept:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[-1]) + "\n")
        return float(done[-1]["model"])

    sides: dict[str, Side] = {OURS: partial(side, OURS, "benchmarks.study_ours")}
    for name in peers:
        sides[name] = partial(side, name, "benchmarks.peers.studies", kind=KINDS[name])
    what = f"{asked['trials']} LoRA trials, {asked['train_samples']} sentences"
    say(what)
    rows = measure(sides, rounds, say).rows(f"{what}, to a model", TO_MODEL)
    for row in rows:
        row["note"] = "; ".join(f"{name}: {_told(found[name])}" for name in (row["peer"], OURS))
    return [*rows, *_to_target(f"{what}, to {TARGET:.0%} on validation", found)]


def _whole_rounds(kept: Path, asked: dict[str, Any], count: int) -> list[Found]:
    """What an earlier run of the same commit measured, without a round that was cut."""
    head = {"asked": asked, "commit": commit()}
    lines = kept.read_text(encoding="utf-8").split("\n")[:-1] if kept.exists() else []
    ended = [json.loads(line) for line in lines]
    whole = ended[1 : 1 + (len(ended) - 1) // count * count] if ended[:1] == [head] else []
    kept.write_text("".join(f"{json.dumps(each)}\n" for each in (head, *whole)), encoding="utf-8")
    return whole


def _told(rounds: list[Found]) -> str:
    """What a side did, on average over its rounds."""
    evaluations = mean(len(made["evaluations"]) for made in rounds)
    best = mean(max(score for _, score in made["evaluations"]) for made in rounds)
    model, end = (mean(made[key] for made in rounds) for key in ("model", "seconds"))
    return f"{evaluations:.0f} evaluations, best {best:.1%}, {model:.0f} s, {end:.0f} s to its end"


def _to_target(what: str, found: dict[str, list[Found]]) -> list[Row]:
    """Seconds to the first evaluation that reaches the target."""
    reached = {
        name: [
            min((at for at, score in made["evaluations"] if score >= TARGET), default=math.inf)
            for made in rounds
        ]
        for name, rounds in found.items()
    }
    there = {name: times for name, times in reached.items() if max(times) < math.inf}
    if OURS not in there:
        return [missing(what, peer, "ours did not get there") for peer in reached if peer != OURS]
    gone = [missing(what, peer, "it did not get there") for peer in reached if peer not in there]
    return [*Rounds(there).rows(what, TO_TARGET), *gone]
