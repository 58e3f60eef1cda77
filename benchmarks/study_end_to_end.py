"""A whole study, from the start of its process to a model that can be used: 12 LoRA trials.

All sides search the learning rate alone, for as many trials and epochs, on the same sentences, each
round with other ones and another seed; each stops early as it does. Ours tries its method's start
point first, as it does for everybody. Before its model is there it trained its winner again with
a fresh seed, as transformers' searches have to; it has also fitted the SVM that it compares with,
opened the test split and measured what the model's use costs, which none of the others does. What
follows, the tables, is in the note. The target of the second row, a validation accuracy, was fixed
beforehand. A run that was cut off goes on after its last whole round, if no code has changed.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.corpus import MODEL
from benchmarks.harness import (
    OURS,
    RECORDS,
    Rounds,
    Row,
    Side,
    add_line,
    measure,
    missing,
    read_lines,
)
from benchmarks.processes import CHECKOUT, run_side
from benchmarks.step_rate import PARAMS

ROUNDS = 2
KEPT = RECORDS / "study_end_to_end.jsonl"  # until it is whole
MODULE = "benchmarks.peers.studies"
STUDY: dict[str, Any] = {
    "what": "LoRA trials",
    "method": "lora",
    "winners": ["lora"],
    "dataset": "rotten_tomatoes",
    "model": MODEL,
    "seed": 42,
    "device": "cpu",
    "train_samples": 1024,
    "trials": 12,
    "max_epochs": 3,
    "params": {name: value for name, value in PARAMS["lora"].items() if name != "lr"},
    "target": 0.74,  # of validation accuracy
}
QUICK = {**STUDY, "train_samples": 64, "trials": 2, "max_epochs": 1}
OPTUNA, RAY = "hyperparameter_search(optuna)", "hyperparameter_search(ray)"
TUNE = "Ray Tune's Tuner with OptunaSearch and ASHA"
PEERS = {OPTUNA: (MODULE, "optuna"), RAY: (MODULE, "ray"), TUNE: (MODULE, "tune")}
TO_MODEL, TO_TARGET = dict.fromkeys(PEERS, 2.5), dict.fromkeys(PEERS, 6.0)

Found = dict[str, Any]
Peers = Mapping[str, tuple[str, str]]  # by name: the module that runs it, and which of its kinds


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the time to a model, and to the target."""
    if quick:
        return beside(QUICK, {OPTUNA: PEERS[OPTUNA]}, 1, say)
    rows = beside(STUDY, PEERS, ROUNDS, say, KEPT)
    KEPT.unlink()
    return rows


def beside(
    asked: dict[str, Any],
    peers: Peers,
    rounds: int,
    say: Callable[[str], None],
    kept: Path | None = None,
) -> list[Row]:
    """The same rows of one study, beside some peers.

    Args:
        asked: As ``STUDY``.
        peers: Whom it is run beside.
        rounds: How often each side runs.
        say: Told each cost.
        kept: Where each study's figures are kept, and taken from if a run before left them there.
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
                add_line(kept, done[-1])
        return float(done[-1]["model"])

    sides: dict[str, Side] = {OURS: partial(side, OURS, "benchmarks.study_ours")}
    for name, (module, kind) in peers.items():
        sides[name] = partial(side, name, module, kind=kind)
    what = f"{asked['trials']} {asked['what']}, {asked['train_samples']} sentences"
    say(what)
    rows = measure(sides, rounds, say).rows(f"{what}, to a model", TO_MODEL)
    for row in rows:
        row["note"] = "; ".join(f"{name}: {_told(found[name])}" for name in (row["peer"], OURS))
    if "target" not in asked:
        return rows
    reached = f"{what}, to {asked['target']:.0%} on validation"
    return [*rows, *_to_target(reached, asked["target"], found)]


def _whole_rounds(kept: Path, asked: dict[str, Any], count: int) -> list[Found]:
    """What an earlier run of the same code measured, without a round that was cut."""
    head = {"asked": asked, "code": _code()}
    ended = read_lines(kept)
    whole = ended[1 : 1 + (len(ended) - 1) // count * count] if ended[:1] == [head] else []
    kept.write_text("".join(f"{json.dumps(each)}\n" for each in (head, *whole)), encoding="utf-8")
    return whole


def _code() -> str:
    """A hash of all code that either side runs."""
    content = hashlib.sha256()
    folders = ("tune_sentiment", "search_spaces", "analysis", "benchmarks")
    inside = (path for folder in folders for path in sorted((CHECKOUT / folder).rglob("*.py")))
    for path in (CHECKOUT / "run_search.py", *inside):
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def _told(rounds: list[Found]) -> str:
    """What a side did, on average over its rounds."""
    evaluations = mean(len(made["evaluations"]) for made in rounds)
    best = mean(max(score for _, score in made["evaluations"]) for made in rounds)
    model, end = (mean(made[key] for made in rounds) for key in ("model", "seconds"))
    return f"{evaluations:.0f} evaluations, best {best:.1%}, {model:.0f} s, {end:.0f} s to its end"


def _to_target(what: str, target: float, found: dict[str, list[Found]]) -> list[Row]:
    """Seconds to the first evaluation that reaches the target."""
    reached = {
        name: [
            min((at for at, score in made["evaluations"] if score >= target), default=math.inf)
            for made in rounds
        ]
        for name, rounds in found.items()
    }
    there = {name: times for name, times in reached.items() if max(times) < math.inf}
    if OURS not in there:
        return [missing(what, peer, "ours did not get there") for peer in reached if peer != OURS]
    gone = [missing(what, peer, "it did not get there") for peer in reached if peer not in there]
    return [*Rounds(there).rows(what, TO_TARGET), *gone]
