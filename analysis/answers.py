"""What a comparison answers: each study's scores on test, and every pair's difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import mean, stdev
from typing import Any

import numpy as np

from analysis.load import LoadedStudy
from analysis.stats import (
    Correct,
    Estimate,
    correct_matrix,
    difference_interval,
    holm,
    mcnemar,
    mean_interval,
)
from tune_sentiment.methods import BASELINE


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Args:
        mean: Over the seeds.
        sd: Standard deviation; ``None`` for one seed.
        n: Seeds that have the score.
        asked: Seeds that were trained.
    """

    mean: float
    sd: float | None
    n: int
    asked: int


@dataclass(frozen=True)
class Side:
    """One study in a comparison.

    Args:
        name: Its row: the method, and what tells it from others of the same method.
        study: Its ledger.
    """

    name: str
    study: LoadedStudy

    @cached_property
    def correct(self) -> Correct | None:
        """1 where a test text was classified rightly, ``[seeds, texts]``; ``None`` without any."""
        found = self.study.test_predictions
        return None if found is None else correct_matrix(*found)

    @property
    def speaks_for_its_method(self) -> bool:
        """Whether its runs say anything of other seeds: two of them, or a deterministic method."""
        found = self.correct
        return found is not None and (self.study.is_deterministic or len(found) > 1)

    @cached_property
    def accuracy(self) -> Estimate | None:
        """Test accuracy with its interval over seeds and texts; ``None`` for one seed."""
        found = self.correct
        return mean_interval(found) if found is not None and self.speaks_for_its_method else None

    def spread(self, metric: str) -> Spread | None:
        """A metric of the winner's confirmation runs, by its full name."""
        runs = self.study.confirmations
        values = [run[metric] for run in runs if run.get(metric) is not None]
        if not values:
            return None
        return Spread(mean(values), stdev(values) if values[1:] else None, len(values), len(runs))


@dataclass(frozen=True)
class Pair:
    """Two studies' difference in test accuracy, ``a`` minus ``b``.

    Args:
        a: The first.
        b: The second.
        estimate: The difference with its interval and p.
        corrected: p after Holm's correction over all pairs of the comparison.
        mcnemar: Exact p for the pair of classifiers with the first seed of each.
    """

    a: Side
    b: Side
    estimate: Estimate
    corrected: float
    mcnemar: float


def sides(studies: Sequence[LoadedStudy]) -> list[Side]:
    """A comparison's studies, the baseline first, each with the name of its row."""
    ordered = sorted(studies, key=lambda s: (s.method != BASELINE, s.method, str(s.path)))
    return [Side(_row_name(study, ordered), study) for study in ordered]


def pairs(compared: Sequence[Side]) -> list[Pair]:
    """Every pair that was tested on the same texts; the corrections are those of one family.

    A study with one seed stands in no pair: it says nothing of its method.
    """
    able = [side for side in compared if side.speaks_for_its_method]
    found = []
    for b, a in combinations(able, 2):
        x, y = a.correct, b.correct
        if x is not None and y is not None and _same_texts(a.study, b.study):
            found.append((a, b, x, y))
    estimates = [difference_interval(x, y) for _, _, x, y in found]
    corrected = holm([estimate.p for estimate in estimates])
    return [
        Pair(a, b, estimate, p, mcnemar(x[0].astype(bool), y[0].astype(bool)))
        for (a, b, x, y), estimate, p in zip(found, estimates, corrected, strict=True)
    ]


def _same_texts(a: LoadedStudy, b: LoadedStudy) -> bool:
    x, y = a.test_predictions, b.test_predictions
    return x is not None and y is not None and np.array_equal(x[0], y[0])


def baseline_of(compared: Sequence[Side]) -> Side | None:
    """The side that differences are taken to: a baseline that has test scores, if there is one."""
    found = [side for side in compared if side.study.method == BASELINE]
    return next((side for side in found if side.correct is not None), next(iter(found), None))


def between(found: Sequence[Pair], a: Side, b: Side) -> Pair | None:
    """The pair of ``a`` minus ``b``, whichever way round it stands."""
    for pair in found:
        if (pair.a, pair.b) == (a, b):
            return pair
        if (pair.a, pair.b) == (b, a):
            e = pair.estimate
            turned = Estimate(-e.value, -e.high, -e.low, e.p, e.df)
            return Pair(a, b, turned, pair.corrected, pair.mcnemar)
    return None


def majority_accuracy(study: LoadedStudy) -> float | None:
    """Test accuracy of always saying the class that is most frequent in training."""
    splits: dict[str, Any] = study.description.get("splits", {})
    if not {"train", "test"} <= set(splits):
        return None
    train, test = (np.array(splits[name]["class_counts"]) for name in ("train", "test"))
    return float(test[int(train.argmax())] / test.sum())


def planned_evaluations(study: LoadedStudy) -> int:
    """Evaluations of a trial that nothing ends early."""
    plan = study.description["plan"]
    return int(plan["max_epochs"] * plan["evaluations_per_epoch"]) if plan else 1


def _row_name(study: LoadedStudy, studies: Sequence[LoadedStudy]) -> str:
    """The method; where one has several studies, with the settings in which they differ."""
    twins = [other for other in studies if other.method == study.method]
    if len(twins) == 1:
        return study.method
    mine = _settings(study)
    differing = sorted(
        key for key, value in mine.items() if any(_settings(t).get(key) != value for t in twins)
    )
    words = ", ".join(f"{key}={mine[key]}" for key in differing)
    same = [t for t in twins if all(_settings(t).get(key) == mine[key] for key in differing)]
    return f"{study.method} ({words if words and len(same) == 1 else study.path.name})"


def _settings(study: LoadedStudy) -> dict[str, Any]:
    description = study.description
    return {
        **(description.get("defaults") or {}),
        **description["plan"],
        "seed": description["seed"],
        "warm_start": "yes" if description["space"].get("prior") else "no",
        **(description["space"].get("fixed") or {}),
    }
