"""A results folder with a long search in it, written by the product's own recorder and ASHA.

Only the trainings are made up: settings are drawn from the space, scores follow from the learning
rate, some trials diverge and some fail. A small study of the baseline stands beside the long one,
as in every comparison.
"""

import contextlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from run_search import plan
from tune_sentiment.environment import set_environment
from tune_sentiment.methods import BASELINE
from tune_sentiment.metrics import METRICS
from tune_sentiment.options import build_parser
from tune_sentiment.proposal import Proposal, trial_key
from tune_sentiment.recorder import Recorder
from tune_sentiment.scheduler import Asha
from tune_sentiment.study import Study
from tune_sentiment.train import CURVE_POINTS
from tune_sentiment.workload import open_folder, scheduler_and_recorder

BASELINE_TRIALS = 20
WIDTH = 16  # trainings at a time
DIVERGED, FAILED = 0.05, 0.03  # shares of the trials, most of which come early


def command(results: Path, trials: int) -> list[str]:
    """What ``run_search.py`` is told of a search of so many trials."""
    asked = {"method": "lora", "dataset": "demo", "model": "tiny", "max-epochs": 5}
    asked |= {"trials": trials, "confirm-seeds": 0, "results": results}
    return [word for name, value in asked.items() for word in (f"--{name}", str(value))]


class Made:
    """A training whose evaluations are made up.

    Args:
        proposal: What it would train.
        planned: Its evaluations, if nothing ends it early.
        random: Decides its scores.
    """

    def __init__(self, proposal: Proposal, planned: int, random: np.random.Generator) -> None:
        self.trial = SimpleNamespace(
            config=proposal.as_dict(), last_result=None, trial_id=proposal.key
        )
        self.random = random
        luck = random.random()
        self.last = "diverged" if luck < DIVERGED else "failed" if luck < DIVERGED + FAILED else ""
        self.longest = min(planned, random.geometric(0.5)) if self.last else planned
        lr = float(proposal.params.get("lr", 1e-4))
        self.top = 0.9 - 0.05 * (math.log10(lr) + 4) ** 2 + 0.02 * random.standard_normal()
        self.evaluation, self.objective = 0, math.nan

    def report(self) -> dict[str, Any]:
        """Its next one, as a worker sends it."""
        self.evaluation += 1
        is_last = self.evaluation == self.longest
        status = (self.last or "finished") if is_last else "running"
        details: dict[str, Any] = {"host": "node", "device": "cpu", "num_threads": 1}
        details |= {"precision": "fp32", "micro_batch_size": 16, "accumulation": 1}
        if status == "failed":
            details["error"] = "RuntimeError: made up"
        else:
            details |= self._measured(status == "diverged")
        return {
            "status": status,
            "evaluation": self.evaluation,
            "objective": self.objective,
            "details": details,
        }

    def _measured(self, is_diverged: bool) -> dict[str, Any]:
        e, loss = self.evaluation, None if is_diverged else self.random.uniform(0.2, 0.7)
        score = self.top - 0.1 / e + 0.005 * self.random.standard_normal()
        self.objective = score if math.isnan(self.objective) else max(self.objective, score)
        metrics = {f"val_{name}": float(score) for name in METRICS}
        return {
            "metrics": {} if is_diverged else metrics,
            "epochs_run": float(e),
            "train_loss": loss,
            "train_loss_curve": [] if is_diverged else [loss] * CURVE_POINTS,
            "train_seconds": 30.0 * e + self.random.random(),
            "eval_seconds": 2.0 * e + self.random.random(),
            "train_samples_per_second": 100 + self.random.random(),
            "train_steps_per_second": 6 + self.random.random(),
            "peak_memory_bytes": 500_000_000 + int(self.random.integers(1_000_000)),
            "num_trainable_params": 739_586,
            "num_total_params": 67_694_596,
            "converged": None,
        }


def search(study: Study, results: Path, trials: int) -> dict[str, int]:
    """Write a study's search; how many trials ended in each way."""
    folder = open_folder(study, results)
    asha, recorder = scheduler_and_recorder(study, folder)
    random = np.random.default_rng(study.config.seed)
    waiting = iter(_proposals(study, random, trials))
    running: list[Made] = []
    while True:
        while len(running) < WIDTH and (proposal := next(waiting, None)) is not None:
            running.append(Made(proposal, study.planned_evaluations, random))
            _begin(running[-1], asha, recorder)
        if not running:
            break
        made = running.pop(0)
        if _goes_on(made, asha, recorder):
            running.append(made)
    statuses = [str(record["status"]) for record in folder.trials()]
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def _proposals(study: Study, random: np.random.Generator, trials: int) -> list[Proposal]:
    """The start points, then settings drawn from the space, each once."""
    settings: dict[str, dict[str, Any]] = {}
    start, space = [dict(point) for point in study.space.start], study.space
    while len(settings) < trials:
        drawn = {name: domain.sample(random_state=random) for name, domain in space.params.items()}
        params = {**(start.pop(0) if start else drawn), **(space.fixed or {})}
        settings.setdefault(trial_key(params, study.config.seed), params)
    return [
        Proposal(number=number, key=key, origin="sampler", params=params, seed=study.config.seed)
        for number, (key, params) in enumerate(settings.items())
    ]


def _begin(made: Made, asha: Asha | None, recorder: Recorder) -> None:
    if asha is not None:
        asha.on_trial_add(None, made.trial)
    recorder.on_trial_start(0, [], made.trial)


def _goes_on(made: Made, asha: Asha | None, recorder: Recorder) -> bool:
    """One more evaluation of a training; whether it goes on after that."""
    report = made.report()
    decision = "CONTINUE" if asha is None else asha.on_trial_result(None, made.trial, report)
    recorder.on_trial_result(0, [], made.trial, report)
    if report["status"] == "running" and decision == "CONTINUE":
        return True
    if asha is not None:
        asha.on_trial_complete(None, made.trial, report)
    recorder.on_trial_complete(0, [], made.trial)
    return False


def main(asked: dict[str, Any]) -> dict[str, int]:
    """Write the baseline's search and a long one; how many trials of that ended how."""
    results = Path(asked["results"])
    studies, _, _ = plan(build_parser().parse_args(command(results, asked["trials"])))
    baseline, long = studies
    assert baseline.config.method == BASELINE
    search(baseline, results, BASELINE_TRIALS)
    return search(long, results, asked["trials"])


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        set_environment()
        made = main(json.loads(sys.argv[1]))
    print(json.dumps(made))
