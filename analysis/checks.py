"""What a reader should know before believing a table: each check gives warnings, or none."""

import math
from collections.abc import Callable, Sequence

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from analysis.answers import planned_evaluations, sides
from analysis.contents import text_hashes
from analysis.load import LoadedStudy

FEW_TRIALS = 10
MANY_FAILED = 0.2
EDGE = 0.05  # of a range's width, on its own scale, from either end
SMALL_TEST = 200  # below, the standard error of an accuracy near 80 % is over 3 points
FAILURES = ("diverged", "oom", "failed")


def at_a_boundary(study: LoadedStudy) -> list[str]:
    """The winner has a value at an end of what was searched: better ones may lie beyond."""
    found = []
    if study.description["space"].get("is_listed"):
        return []  # nothing was searched beyond what is listed
    for name, domain in study.searched.items():
        value = (study.winner or {}).get(name)
        edge = None if value is None else _edge(domain, value)
        if edge is not None:
            found.append(f"the winner's {name}={value:.3g} is at the {edge} end of its range")
    return found


def _edge(domain: BaseDistribution, value: float) -> str | None:
    """``lower`` or ``upper`` where a value is at an end; 0 is the end of any range."""
    if isinstance(domain, CategoricalDistribution):
        ends = [c for c in domain.choices if isinstance(c, int | float)]
        if len(ends) < max(3, len(domain.choices)):
            return None  # words, or too few to have a middle
        return "lower" if value == min(ends) else "upper" if value == max(ends) else None
    if not isinstance(domain, FloatDistribution | IntDistribution) or domain.low == domain.high:
        return None
    low, high = _on_its_scale(domain, domain.low), _on_its_scale(domain, domain.high)
    share = (_on_its_scale(domain, value) - low) / (high - low)
    if share > 1 - EDGE:
        return "upper"
    return "lower" if share < EDGE and domain.low != 0 else None


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


def in_halves(study: LoadedStudy) -> list[str]:
    """Trials that a GPU had no room for, trained in parts: same gradients, other dropout."""
    count = sum((trial.get("accumulation") or 1) > 1 for trial in study.trials)
    if not count:
        return []
    return [
        f"{count} of {len(study.trials)} trials ran out of GPU memory and were tried again with "
        "half a batch at a time"
    ]


def missing_seeds(study: LoadedStudy) -> list[str]:
    """Confirmation runs that were trained and have no score."""
    key = (study.winner or {}).get("key")
    opened = {seed for o in study.openings if o["key"] == key for seed in o["seeds"]}
    asked, scored = len(opened | {run["seed"] for run in study.confirmations}), len(study.scored)
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
    count = len(study.openings)
    return [f"the test split was opened {count} times"] if count > 1 else []


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


def warm_started(study: LoadedStudy) -> list[str]:
    """Trials of other studies chose where this one began, and its budget does not count them."""
    sources = study.description.get("prior_from")
    listed = sources if isinstance(sources, list) else []
    named = [str(each.get("study")) for each in listed if isinstance(each, dict)]
    return [f"its search began with earlier winners, of {', '.join(named)}"] if named else []


def unequal_budgets(studies: Sequence[LoadedStudy]) -> list[str]:
    """Studies that were searched with different numbers of trials or epochs."""
    searched = sorted((s for s in studies if _space_size(s) is None), key=lambda s: s.method)
    trials = [(study.method, len(study.trials)) for study in searched]
    epochs = [(s.method, planned_evaluations(s)) for s in searched if not s.is_deterministic]
    found = []
    for name, budget in (("trials", trials), ("planned evaluations", epochs)):
        if len({count for _, count in budget}) > 1:
            counts = ", ".join(f"{method} {count}" for method, count in budget)
            found.append(f"unequal budgets, {name}: {counts}")
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


def one_seed(study: LoadedStudy) -> list[str]:
    """A single seed says nothing of what another would give."""
    if study.is_deterministic or len(study.scored) != 1:
        return []
    return ["one seed has a test score: no interval, and no difference is said"]


STUDY_CHECKS: tuple[Callable[[LoadedStudy], list[str]], ...] = (
    unconfirmed,
    missing_seeds,
    one_seed,
    many_failed,
    in_halves,
    few_trials,
    at_a_boundary,
    unconverged,
    opened_again,
    warm_started,
)
COMPARISON_CHECKS: tuple[Callable[[Sequence[LoadedStudy]], list[str]], ...] = (
    small_test,
    one_class,
    unequal_budgets,
    shared_between_splits,
)


def warnings(studies: Sequence[LoadedStudy]) -> list[str]:
    """Everything that the checks find in a comparison."""
    found = [warning for check in COMPARISON_CHECKS for warning in check(studies)]
    for side in sides(studies):
        for check in STUDY_CHECKS:
            found += [f"{side.name}: {warning}" for warning in check(side.study)]
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


def _on_its_scale(domain: BaseDistribution, value: float) -> float:
    return math.log(value) if getattr(domain, "log", False) else float(value)


def _space_size(study: LoadedStudy) -> int | None:
    """Trials that use up a space; ``None`` where it has none that do."""
    if study.description.get("is_exhausted"):
        return len(study.trials)
    space = study.description["space"]
    if space.get("is_listed"):
        return len(space["start"])
    return 1 if not space.get("distributions") else None
