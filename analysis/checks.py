"""What a reader should know before believing a table: each check gives warnings, or none."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
from optuna.distributions import (
    BaseDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from analysis.answers import planned_evaluations
from analysis.load import LoadedStudy

FEW_TRIALS = 10
MANY_FAILED = 0.2
EDGE = 0.05  # of a range's width, on its own scale, from either end
SMALL_TEST = 200  # below, the standard error of an accuracy near 80 % is over 3 points
FAILURES = ("diverged", "oom", "failed")


def at_a_boundary(study: LoadedStudy) -> list[str]:
    """The winner has a value at an end of what was searched: better ones may lie beyond."""
    winner, found = study.winner, []
    for name, value in (winner or {}).items():
        domain = distributions(study).get(name)
        if not isinstance(domain, FloatDistribution | IntDistribution) or value is None:
            continue
        if domain.low == domain.high:
            continue
        low, high = _on_its_scale(domain, domain.low), _on_its_scale(domain, domain.high)
        share = (_on_its_scale(domain, value) - low) / (high - low)
        if not EDGE <= share <= 1 - EDGE and not (share < EDGE and domain.low == 0):
            edge = "lower" if share < EDGE else "upper"
            found.append(f"the winner's {name}={value:.3g} is at the {edge} end of what was tried")
    return found


def few_trials(study: LoadedStudy) -> list[str]:
    """So few trials say little about the best that a method can do."""
    count = len(study.trials)
    size = _space_size(study)
    is_used_up = size is not None and count >= size
    return [] if count >= FEW_TRIALS or is_used_up else [f"{count} trials are few"]


def many_failed(study: LoadedStudy) -> list[str]:
    """A method that often fails has been searched less than the others."""
    bad = sum(trial["status"] in FAILURES for trial in study.trials)
    if not study.trials or bad <= MANY_FAILED * len(study.trials):
        return []
    return [f"{bad} of {len(study.trials)} trials diverged, failed or ran out of memory"]


def missing_seeds(study: LoadedStudy) -> list[str]:
    """Confirmation runs that were trained and have no score."""
    asked, scored = len(study.confirmations), len(study.test_scores)
    if scored == asked:
        return []
    return [f"{scored} of {asked} confirmation runs have a test score; means are over those"]


def unconfirmed(study: LoadedStudy) -> list[str]:
    """A study whose winner has not seen the test split."""
    if study.winner is None:
        return ["no trial could be a winner" if study.trials else "no trial has ended"]
    return [] if study.confirmations else ["its winner was not confirmed: no test score"]


def unconverged(study: LoadedStudy) -> list[str]:
    """Closed-form solvers that did not meet their tolerance."""
    count = sum(trial["converged"] is False for trial in study.trials)
    return [f"{count} of {len(study.trials)} trials did not converge"] if count else []


def opened_again(study: LoadedStudy) -> list[str]:
    """Choosing again after the test split was seen makes its scores optimistic, too."""
    count = study.test_openings
    return [f"the test split was opened {count} times"] if count > 1 else []


STUDY_CHECKS: tuple[Callable[[LoadedStudy], list[str]], ...] = (
    unconfirmed,
    missing_seeds,
    many_failed,
    few_trials,
    at_a_boundary,
    unconverged,
    opened_again,
)


def small_test(studies: Sequence[LoadedStudy]) -> list[str]:
    """A test split on which one text is a large step."""
    rows = studies[0].description["splits"]["test"]["rows"]
    if rows >= SMALL_TEST:
        return []
    return [f"only {rows} test texts: one text is {100 / rows:.1f} points"]


def one_class(studies: Sequence[LoadedStudy]) -> list[str]:
    """Splits in which some class does not occur."""
    found = []
    for name, split in studies[0].description["splits"].items():
        counts = split.get("class_counts", [])
        if sum(count > 0 for count in counts) == 1:
            found.append(f"{name} has texts of one class only")
    return found


def unequal_budgets(studies: Sequence[LoadedStudy]) -> list[str]:
    """Methods that were searched with different numbers of trials or epochs."""
    found = []
    trials = {s.method: len(s.trials) for s in studies if _space_size(s) is None}
    if len(set(trials.values())) > 1:
        counts = ", ".join(f"{method} {count}" for method, count in sorted(trials.items()))
        found.append(f"unequal budgets, trials: {counts}")
    epochs = {s.method: planned_evaluations(s) for s in studies if not s.is_deterministic}
    if len(set(epochs.values())) > 1:
        counts = ", ".join(f"{method} {count}" for method, count in sorted(epochs.items()))
        found.append(f"unequal budgets, planned evaluations: {counts}")
    return found


def shared_between_splits(studies: Sequence[LoadedStudy]) -> list[str]:
    """Test or validation texts that stand in training, too."""
    hashes = text_hashes(studies[0])
    found = []
    for name in ("validation", "test"):
        count = len(hashes.get(name, set()) & hashes.get("train", set()))
        if count:
            found.append(f"{count:,} texts of {name} stand in train, too")
    return found


COMPARISON_CHECKS: tuple[Callable[[Sequence[LoadedStudy]], list[str]], ...] = (
    small_test,
    one_class,
    unequal_budgets,
    shared_between_splits,
)


def warnings(studies: Sequence[LoadedStudy]) -> list[str]:
    """Everything that the checks find in a comparison."""
    found = [warning for check in COMPARISON_CHECKS for warning in check(studies)]
    for study in studies:
        for check in STUDY_CHECKS:
            found += [f"{study.method}: {warning}" for warning in check(study)]
    return found


def shared_between_datasets(studies: Sequence[LoadedStudy]) -> list[str]:
    """Test texts of one dataset that stand in another's: tables of both are not independent."""
    datasets: dict[str, dict[str, set[int]]] = {}
    for study in studies:
        name = str(study.description["dataset"])
        if name not in datasets:
            datasets[name] = text_hashes(study)
    found = []
    for name, own in sorted(datasets.items()):
        for other, theirs in sorted(datasets.items()):
            shared = own.get("test", set()) & set().union(*theirs.values())
            if name != other and shared:
                found.append(f"{len(shared):,} test texts of {name} stand in {other}, too")
    return found


def text_hashes(study: LoadedStudy) -> dict[str, set[int]]:
    """Hashes of each split's normalised texts; empty where the ledger has none."""
    try:
        table = pd.read_parquet(study.path / "texts.parquet")
    except (OSError, ValueError):
        return {}
    return {str(name): set(part["text_hash"]) for name, part in table.groupby("split")}


def distributions(study: LoadedStudy) -> dict[str, BaseDistribution]:
    """What was searched, by hyperparameter."""
    stored = study.description["space"].get("distributions") or {}
    return {name: json_to_distribution(text) for name, text in stored.items()}


def _on_its_scale(domain: BaseDistribution, value: float) -> float:
    return math.log(value) if getattr(domain, "log", False) else float(value)


def _space_size(study: LoadedStudy) -> int | None:
    """Trials that use up a space; ``None`` where it has none that do."""
    if study.description.get("is_exhausted"):
        return len(study.trials)
    return 1 if not study.description["space"].get("distributions") else None
