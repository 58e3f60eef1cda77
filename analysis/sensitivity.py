"""How scores depend on hyperparameters: importance, and means by learning rate and by rank."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean, stdev
from typing import Any

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from analysis import readable
from analysis.answers import planned_evaluations, sides
from analysis.contents import evaluations_of
from analysis.load import LoadedStudy
from tune_sentiment.records import SCORED_STATUSES
from tune_sentiment.told import known_trial

TABULATED = ("lr", "rank", "C")  # as far as a method has them
STEPS_PER_DECADE = 2
FEWEST_TRIALS = 10  # for an importance: the best tenth is what it compares


@dataclass(frozen=True)
class Common:
    """Scored trials at the last evaluation that all of them made: others are not comparable.

    Args:
        evaluation: Its number; with early stopping often the first rung's.
        scores: Each trial with its searched metric there.
    """

    evaluation: int
    scores: list[tuple[dict[str, Any], float]]


@cache
def common_scores(study: LoadedStudy) -> Common:
    """The scores that hyperparameters can be compared by."""
    lines = evaluations_of(study)
    trials = [trial for trial in study.trials if trial["status"] in SCORED_STATUSES]
    common = min((trial["evaluations_run"] for trial in trials), default=0)
    found = []
    for trial in trials:
        for line in lines.get(str(trial["key"]), []):
            if line["evaluation"] == common and isinstance(line.get(study.metric), int | float):
                found.append((trial, float(line[study.metric])))
    return Common(common, found)


def importance(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """How much each hyperparameter decides whether a trial is among the better ones, in percent.

    PED-ANOVA (Watanabe et al., 2023), as Optuna has it, on scores at the last common evaluation.
    """
    rows = []
    for side in sides(studies):
        common = common_scores(side.study)
        for name, share in importances(side.study).items():
            rows.append(
                {
                    "method": side.name,
                    "after evaluation": _of(side.study, common),
                    "hyperparameter": name,
                    "importance": f"{100 * share:.0f} %",
                    "trials": str(len(common.scores)),
                }
            )
    return pd.DataFrame(rows)


@cache
def importances(study: LoadedStudy) -> Mapping[str, float]:
    """Importance of each searched hyperparameter, largest first; sums to 1; empty if too few."""
    domains, common = study.searched, common_scores(study)
    scores = [
        (trial, score)
        for trial, score in common.scores
        if all(trial.get(name) is not None for name in domains)
    ]
    if len(scores) < FEWEST_TRIALS or not domains or len({score for _, score in scores}) == 1:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mode = study.description["mode"]
    made = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
    for trial, score in scores:
        params = {name: trial[name] for name in domains}
        made.add_trial(known_trial(TrialState.COMPLETE, score, params, domains))
    found = get_param_importances(made, evaluator=PedAnovaImportanceEvaluator())
    return {name: share for name, share in found.items() if not math.isnan(share)}


def sensitivity(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """The searched metric by learning rate (in half decades), by rank and by C, with its n."""
    rows = []
    for side in sides(studies):
        common = common_scores(side.study)
        for name in TABULATED:
            cells = by_value(common.scores, name)
            for shown, values in cells.items():
                middle = readable.points(mean(values), side.study.metric)
                if len(values) > 1:
                    middle += f" ± {readable.points(stdev(values), side.study.metric)}"
                rows.append(
                    {
                        "method": side.name,
                        "after evaluation": _of(side.study, common),
                        "hyperparameter": name,
                        "value": shown,
                        side.study.metric: middle,
                        "n": str(len(values)),
                    }
                )
    return pd.DataFrame(rows)


def by_value(scores: Sequence[tuple[dict[str, Any], float]], name: str) -> dict[str, list[float]]:
    """Scores by a hyperparameter's value, in its order; those of a log scale by half decades."""
    groups: dict[float, list[float]] = defaultdict(list)
    for trial, score in scores:
        if trial.get(name) is not None:
            value = float(trial[name])
            groups[value if name == "rank" else _bin(value)].append(score)
    return {_shown(name, key): groups[key] for key in sorted(groups)}


def _of(study: LoadedStudy, common: Common) -> str:
    return f"{common.evaluation} of {planned_evaluations(study)}"


def _bin(value: float) -> float:
    return math.floor(math.log10(value) * STEPS_PER_DECADE) / STEPS_PER_DECADE


def _shown(name: str, key: float) -> str:
    if name == "rank":
        return f"{key:.0f}"
    return f"{10**key:.1e} to {10 ** (key + 1 / STEPS_PER_DECADE):.1e}"
