"""The lab reports' numbers beside ours, and what our tables say to their contradictions."""

from collections.abc import Sequence
from statistics import mean

import pandas as pd
from scipy import stats as scipy_stats

from analysis import readable
from analysis.answers import Side, between, pairs, planned_evaluations, sides
from analysis.load import LoadedStudy
from analysis.published import PAIRS, PUBLISHED, QUESTIONS, Published, published_for
from analysis.sensitivity import by_value, common_scores
from analysis.stats import ALPHA, NO_DIFFERENCE, holm, prediction_interval, words

NOT_COMPARABLE = "not comparable"
SPLITS = {"val": "validation", "test": "test", None: "split not said:"}
FULL_LENGTH = 512  # tokens, as in the reports


def published(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """Each published score beside ours with the interval in which one new seed is expected.

    Scores of other models, subsets of the data, or metrics that we do not have are marked.
    """
    about = studies[0].description
    entries = [e for e in PUBLISHED if e.dataset == about["dataset"]]
    data = about["comparison_of"]
    is_whole = data.get("train_samples") is None and data.get("max_length") in (None, FULL_LENGTH)
    same = published_for(str(about["dataset"]), str(about["model"]))
    compared = sides(studies)
    rows = []
    for entry in entries:
        side = next((s for s in compared if s.study.method == entry.method), None)
        if entry not in same:
            ours, expected, says = _not(f"another model, {entry.model}")
        elif not is_whole:
            ours, expected, says = _not("a part of the data")
        else:
            ours, expected, says = _ours(entry, side)
        rows.append(
            {
                "report": entry.report,
                "method": entry.method,
                "setting": entry.setting or readable.NOT_MEASURED,
                "score": f"{SPLITS[entry.split]} {entry.metric}",
                "published": readable.points(entry.value),
                "ours": ours,
                "one new seed": expected,
                "says": says,
            }
        )
    return pd.DataFrame(rows)


def _not(why: str) -> tuple[str, str, str]:
    return readable.NOT_MEASURED, readable.NOT_MEASURED, f"{NOT_COMPARABLE}: {why}"


def _ours(entry: Published, side: Side | None) -> tuple[str, str, str]:
    if entry.split is None:
        return _not("split not said")
    if side is None:
        return _not(f"no {entry.method} here")
    name = f"{entry.split}_{entry.metric}"
    values = [run[name] for run in side.study.confirmations if run.get(name) is not None]
    if not values:
        return _not("no such score here")
    ours, expected = readable.points(mean(values)), prediction_interval(values)
    if expected is None:
        return ours, readable.NOT_MEASURED, "one seed of ours: no interval"
    low, high = expected
    inside = low <= entry.value <= high
    shown = f"[{readable.points(low)}, {readable.points(high)}]"
    return ours, shown, "as expected of another seed" if inside else "outside"


def questions(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """The lab reports' contradictions, answered from our trials and pairs."""
    compared = sides(studies)
    found = pairs(compared)
    by_method = {side.study.method: side for side in reversed(compared)}  # the first of several
    rows = []
    tested = [_groups(by_method.get(method), name) for name, method, _ in QUESTIONS]
    corrected = iter(holm([p for _, p in tested if p is not None]))
    for (name, method, question), (cells, raw) in zip(QUESTIONS, tested, strict=True):
        p = None if raw is None else next(corrected)
        answer = _by_value(by_method.get(method), name, cells, p)
        rows.append({"question": question, "answer": answer})
    for first, second, question in PAIRS:
        a, b = by_method.get(first), by_method.get(second)
        pair = between(found, a, b) if a and b else None
        answer = "not measured here"
        if pair is not None:
            shown = readable.interval(pair.estimate, is_difference=True)
            said = words(pair.estimate, pair.corrected, second)
            answer = f"{said}: {readable.signed(pair.estimate.value)} {shown}"
        rows.append({"question": question, "answer": answer})
    return pd.DataFrame(rows)


def _groups(side: Side | None, name: str) -> tuple[dict[str, list[float]], float | None]:
    """Scores by a hyperparameter's value, and the p of an analysis of variance over groups."""
    cells = by_value(common_scores(side.study).scores, name) if side else {}
    groups = [values for values in cells.values() if len(values) > 1]
    if len(groups) < 2:
        return cells, None
    is_flat = len({value for values in groups for value in values}) < 2
    return cells, 1.0 if is_flat else float(scipy_stats.f_oneway(*groups).pvalue)


def _by_value(side: Side | None, name: str, cells: dict[str, list[float]], p: float | None) -> str:
    """The best group of values if there is a difference between groups.

    The sampler did not choose values at random, so even then it is a hint.
    """
    if side is None or not cells:
        return "not measured here"
    common = common_scores(side.study).evaluation
    counts = ", ".join(f"{shown}: n={len(values)}" for shown, values in cells.items())
    told = f"after evaluation {common} of {planned_evaluations(side.study)}; {counts}"
    if p is None:
        return f"too few trials to say ({told})"
    if p >= ALPHA:
        return f"{NO_DIFFERENCE} between our trials ({told})"
    sign = 1 if side.study.description["mode"] == "max" else -1
    groups = [shown for shown, values in cells.items() if len(values) > 1]
    best = max(groups, key=lambda shown: sign * mean(cells[shown]))
    score = readable.points(mean(cells[best]), side.study.metric)
    found = f"{name} {best} was best in our trials: {score}, {readable.p_value(p)}"
    return f"{found} ({told}; a sampler proposed them, so this is a hint)"
