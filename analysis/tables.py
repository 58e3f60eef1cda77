"""Comparison tables in markdown, computed from records."""

from collections import Counter
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import pandas as pd

from analysis.load import LoadedStudy
from tune_sentiment.markdown import harmless
from tune_sentiment.methods import BASELINE
from tune_sentiment.records import STATUSES

NOT_MEASURED = "-"
SMALL_TEST = 200  # below, the standard error of an accuracy near 80 % is over 3 points


def comparison(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """One row for each study of a comparison, the baseline first.

    Percentages are points of the searched metric; a loss stays as it is.
    """
    ordered = in_order(studies)
    names = _row_names(ordered)
    baseline = next((study for study in ordered if study.method == BASELINE), None)
    rows = [_row(name, study, baseline) for name, study in zip(names, ordered, strict=True)]
    return pd.DataFrame(rows)


def in_order(studies: Sequence[LoadedStudy]) -> list[LoadedStudy]:
    """The baseline, then the others by name."""
    return sorted(studies, key=lambda s: (s.method != BASELINE, s.method, str(s.path)))


def _row(name: str, study: LoadedStudy, baseline: LoadedStudy | None) -> dict[str, str]:
    winner = study.winner
    label = study.metric.removeprefix("val_").replace("_", " ")
    score = None if winner is None else winner[study.metric]
    return {
        "method": name,
        f"validation {label} (selected, optimistic)": _points(score, study.metric),
        f"test {label}": _test(study),
        f"difference to {BASELINE}": _difference(study, baseline),
        "trainable parameters": _parameters(winner),
        "trials": _statuses(study),
        "search seconds": _seconds(study),
    }


def _scale(metric: str) -> float:
    return 1.0 if metric.endswith("loss") else 100.0


def _points(value: float | None, metric: str) -> str:
    if value is None:
        return NOT_MEASURED
    return f"{value:.4f}" if metric.endswith("loss") else f"{100 * value:.1f}"


def _test(study: LoadedStudy) -> str:
    scores = study.test_scores
    if not scores:
        return NOT_MEASURED
    middle = _points(mean(scores), study.metric)
    asked = len(study.confirmations)
    if study.description["plan"] == {}:
        return f"{middle} (deterministic)"
    n = f"n={len(scores)}" if len(scores) == asked else f"n={len(scores)} of {asked}"
    if len(scores) == 1:
        return f"{middle} ({n}: 1 seed, no spread)"
    return f"{middle} ± {_points(stdev(scores), study.metric)} ({n})"


def _difference(study: LoadedStudy, baseline: LoadedStudy | None) -> str:
    if baseline is None or study is baseline or not (study.test_scores and baseline.test_scores):
        return NOT_MEASURED
    difference = mean(study.test_scores) - mean(baseline.test_scores)
    digits = 4 if study.metric.endswith("loss") else 1
    return f"{_scale(study.metric) * difference:+.{digits}f}"


def _parameters(winner: dict[str, Any] | None) -> str:
    if winner is None or winner["num_trainable_params"] is None:
        return NOT_MEASURED
    trainable, total = winner["num_trainable_params"], winner["num_total_params"]
    share = 100 * trainable / total
    return f"{trainable:,} ({share:.0f} %)" if share >= 10 else f"{trainable:,} ({share:.2g} %)"


def _statuses(study: LoadedStudy) -> str:
    counts = Counter(str(trial["status"]) for trial in study.trials)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    return f"{len(study.trials)}: {', '.join(parts)}" if parts else "0"


def _seconds(study: LoadedStudy) -> str:
    times = [(trial["train_seconds"] or 0) + (trial["eval_seconds"] or 0) for trial in study.trials]
    features = [trial["features_seconds"] for trial in study.trials if trial["features_seconds"]]
    once = f" + {features[0]:.0f} for features" if features else ""
    return f"{sum(times):.{0 if sum(times) >= 10 else 1}f}{once}"


def _row_names(studies: Sequence[LoadedStudy]) -> list[str]:
    """The method; where one has several studies, with the settings in which they differ."""
    counts = Counter(study.method for study in studies)
    names = []
    for study in studies:
        twins = [other for other in studies if other.method == study.method]
        mine = _settings(study)
        differing = sorted(
            key for key, value in mine.items() if any(_settings(t).get(key) != value for t in twins)
        )
        words = [f"{key}={mine[key]}" for key in differing]
        several = counts[study.method] > 1
        names.append(
            f"{study.method} ({', '.join(words) or study.path.name})" if several else study.method
        )
    return names


def _settings(study: LoadedStudy) -> dict[str, Any]:
    description = study.description
    fixed = description["space"]["fixed"]
    return {**description["plan"], "seed": description["seed"], **fixed}


def heading(studies: Sequence[LoadedStudy]) -> str:
    """What a comparison is about, in one line."""
    about = studies[0].description
    samples = about["comparison_of"]["train_samples"] or about["splits"]["train"]["rows"]
    test = about["splits"]["test"]["rows"]
    words = f"{samples:,} training texts, {test:,} test texts"
    return f"{harmless(about['dataset'])} · {harmless(about['model'])} · {words}"


def notes(studies: Sequence[LoadedStudy]) -> list[str]:
    """What a reader must know beside the table."""
    found = []
    rows = studies[0].description["splits"]["test"]["rows"]
    if rows < SMALL_TEST:
        found.append(f"Only {rows} test texts: one text is {100 / rows:.1f} points.")
    for study in studies:
        if study.test_openings > 1:
            found.append(f"{study.method}: the test split was opened {study.test_openings} times.")
        unconverged = sum(trial["converged"] is False for trial in study.trials)
        if unconverged:
            found.append(
                f"{study.method}: {unconverged} of {len(study.trials)} trials did not converge."
            )
    return found


def _class_tables(study: LoadedStudy) -> list[str]:
    from analysis.classes import confusion, per_class

    runs = len(study.test_scores)
    if not runs:
        return []
    over = "1 run" if runs == 1 else f"{runs} runs"
    lines = ["", f"#### {study.method}, by class (test, {over})", ""]
    for table in (per_class(study), confusion(study)):
        lines += [escaped(table).to_markdown(index=False, disable_numparse=True), ""]
    return lines[:-1]


def escaped(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what would break markdown written harmlessly: labels are people's own."""
    made = table.map(lambda value: harmless(str(value)))
    return made.rename(columns={name: harmless(str(name)) for name in made.columns})


def markdown(studies: Sequence[LoadedStudy]) -> str:
    """A comparison's heading, table and notes."""
    table = comparison(studies).to_markdown(index=False, disable_numparse=True)
    lines = [f"### {heading(studies)}", "", table]
    if remarks := notes(studies):
        lines += ["", *(f"- {remark}" for remark in remarks)]
    if len(studies[0].description["classes"]) > 2:
        for study in in_order(studies):
            lines += _class_tables(study)
    return "\n".join(lines)
