"""Which configuration is confirmed: by validation alone, on fresh seeds.

The best of many validation scores is partly luck, so the few best trials are trained again with
seeds that the search never used, and the best mean of those wins.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from tune_sentiment.records import best_first

if TYPE_CHECKING:
    from tune_sentiment.study import Study

SCREENED = 3  # trials that are trained again
SCREENING_SEEDS = 2  # with so many fresh seeds each


def fresh_seeds(seed: int, count: int) -> list[int]:
    """Seeds of confirmation runs: those after the study's own."""
    return [seed + 1 + i for i in range(count)]


def seeds_of(study: "Study") -> int:
    """Fresh seeds of a study's winner: a method that is deterministic needs one."""
    asked = study.config.confirm_seeds
    return asked if study.method.is_neural else min(1, asked)


def confirmation_runs(study: "Study") -> int:
    """The most confirmation runs of a study: the screening's, and the winner's other seeds."""
    seeds = seeds_of(study)
    if seeds < SCREENING_SEEDS:
        return seeds
    return SCREENED * SCREENING_SEEDS + seeds - SCREENING_SEEDS


def candidates(
    trials: Iterable[Mapping[str, Any]], metric: str, mode: str, confirm_seeds: int
) -> list[Any]:
    """The trials that are trained again, best first; one alone if that is all the seeds allow.

    Args:
        trials: Trial records.
        metric: The searched metric.
        mode: ``max`` or ``min``.
        confirm_seeds: Fresh seeds for the winner; 1 for a method that is deterministic.
    """
    count = SCREENED if confirm_seeds >= SCREENING_SEEDS else 1
    return best_first(trials, metric, mode)[:count]


def confirmed(
    trials: Sequence[Mapping[str, Any]],
    runs: Iterable[Mapping[str, Any]],
    *,
    metric: str,
    mode: str,
    seed: int,
) -> Any:
    """The trial with the best mean over its screening runs; ``None`` before there are any.

    Only trials with as many finished runs as the most can win, the better one by the search if
    means are equal.
    """
    screening = set(fresh_seeds(seed, SCREENING_SEEDS))
    scores: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if run["seed"] in screening and run["status"] == "finished":
            scores[run["trial_key"]].append(run[metric])
    tops = [t for t in best_first(trials, metric, mode)[:SCREENED] if t["key"] in scores]
    most = max((len(scores[t["key"]]) for t in tops), default=0)
    able = [t for t in tops if len(scores[t["key"]]) == most]
    sign = 1 if mode == "max" else -1
    return max(able, key=lambda t: sign * mean(scores[t["key"]]), default=None)
