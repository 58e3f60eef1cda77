"""The main table: what each method reached, whether that is a difference, and what it cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import pandas as pd

from analysis import readable
from analysis.answers import (
    Pair,
    Side,
    baseline_of,
    between,
    majority_accuracy,
    pairs,
    planned_evaluations,
    sides,
)
from analysis.load import LoadedStudy
from analysis.stats import is_shown, words
from tune_sentiment.methods import BASELINE
from tune_sentiment.records import STATUSES

MAJORITY = "majority class"
DIFFERENCE = f"difference to {BASELINE}"
QUALITY_COLUMNS = 10  # of the comparison's columns; what follows is cost


def comparison(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """One row for each study of a comparison, the baseline first, a majority-class row last.

    Scores are in points; of two or more methods those are marked ``*`` that are not shown to be
    worse than the best.
    """
    compared = sides(studies)
    found = pairs(compared)
    marked = among_the_best(compared, found)
    rows = [_row(side, compared, found, side in marked) for side in compared]
    return pd.DataFrame([*rows, _majority_row(studies[0], rows[0])])


def among_the_best(compared: Sequence[Side], found: Sequence[Pair]) -> list[Side]:
    """The best study by mean test accuracy, and all that are not shown to be worse than it."""
    able = [side for side in compared if side.accuracy is not None]
    if len(able) < 2:
        return []
    best = max(able, key=lambda side: side.accuracy.value if side.accuracy else 0.0)
    kept = [best]
    for side in able:
        pair = between(found, side, best)
        if pair is not None and not is_shown(pair.estimate, pair.corrected):
            kept.append(side)
    return kept


def _row(
    side: Side, compared: Sequence[Side], found: Sequence[Pair], is_marked: bool
) -> dict[str, str]:
    study, winner = side.study, side.study.winner
    label = study.metric.removeprefix("val_").replace("_", " ")
    score = None if winner is None else winner[study.metric]
    macro = "" if len(study.description["classes"]) == 2 else "macro_"
    shown = {
        name: readable.spread(
            side.spread(f"test_{metric}"), metric, is_deterministic=study.is_deterministic
        )
        for name, metric in (
            ("accuracy", "accuracy"),
            ("precision", f"{macro}precision"),
            ("recall", f"{macro}recall"),
            ("F1", f"{macro}f1"),
        )
    }
    return {
        "method": f"{side.name} *" if is_marked else side.name,
        f"validation {label} (selected, optimistic)": readable.points(score, study.metric),
        "test accuracy": shown["accuracy"],
        "95 % interval": readable.interval(side.accuracy),
        f"{macro.replace('_', '-')}precision": _short(shown["precision"]),
        f"{macro.replace('_', '-')}recall": _short(shown["recall"]),
        f"{macro.replace('_', '-')}F1": _short(shown["F1"]),
        **_difference(side, compared, found),
        **_cost(side),
    }


def _short(shown: str) -> str:
    """A spread without its n, which the accuracy beside it tells."""
    return shown.partition(" (")[0]


def _difference(side: Side, compared: Sequence[Side], found: Sequence[Pair]) -> dict[str, str]:
    baseline = baseline_of(compared)
    able = [other for other in compared if other.accuracy is not None]
    best = max(able, key=lambda o: o.accuracy.value if o.accuracy else 0.0, default=None)
    to_best = None if best in (None, side) else between(found, side, best)
    pair = None if baseline in (None, side) else between(found, side, baseline)
    said = readable.NOT_MEASURED
    if pair is not None and baseline is not None:
        said = words(pair.estimate, pair.corrected, baseline.name)
        said = f"{said}, {readable.p_value(pair.corrected)}"
    elif side.correct is not None and not side.speaks_for_its_method:
        said = "one seed: not said"
    return {
        DIFFERENCE: _shown(pair),
        "is it real?": said,
        "difference to the best": _shown(to_best),
    }


def _shown(pair: Pair | None) -> str:
    if pair is None:
        return readable.NOT_MEASURED
    estimate = pair.estimate
    shown = readable.interval(estimate, is_difference=True)
    return f"{readable.signed(estimate.value)} {shown}"


def _cost(side: Side) -> dict[str, str]:
    study, winner = side.study, side.study.winner
    spent, saved = search_seconds(study)
    runs = [run for run in study.confirmations if run["status"] == "finished"]
    features = [t["features_seconds"] for t in study.trials if t["features_seconds"]]
    once = f" + {readable.seconds(features[0])} for features" if features else ""
    trained = [run["train_seconds"] for run in runs if run["train_seconds"] is not None]
    rates = [r for run in runs if (r := run["train_samples_per_second"]) is not None]
    peaks = [run["peak_memory_bytes"] for run in runs if run["peak_memory_bytes"] is not None]
    latency = _measured(runs, "latency_seconds")
    per_second = _measured(runs, "sentences_per_second")
    return {
        "trainable parameters": readable.parameters(winner),
        "search device-seconds": readable.seconds(spent) + once,
        "saved by early stopping": f"{100 * saved / (spent + saved):.0f} %" if saved else "-",
        "training seconds": readable.seconds(mean(trained) if trained else None),
        "peak memory (MB)": readable.megabytes(max(peaks, default=None)),
        "training samples/s": readable.seconds(mean(rates) if rates else None),
        "inference ms/sentence": "-" if latency is None else f"{1000 * latency:.1f}",
        "inference sentences/s": readable.seconds(per_second),
        "trials": statuses(study),
    }


def _measured(runs: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [run[name] for run in runs if run.get(name) is not None]
    return mean(values) if values else None


def search_seconds(study: LoadedStudy) -> tuple[float, float]:
    """Device-seconds that the trials took, and those that stopping early saved.

    A device is a CPU thread or a GPU. A trial that was stopped would have gone on at its own pace.
    """
    spent = saved = 0.0
    planned = planned_evaluations(study)
    for trial in study.trials:
        took = devices_of(trial) * (
            (trial["train_seconds"] or 0.0) + (trial["eval_seconds"] or 0.0)
        )
        spent += took
        if trial["status"] == "pruned" and trial["evaluations_run"]:
            saved += took * (planned / trial["evaluations_run"] - 1)
    return spent, saved


def devices_of(record: Mapping[str, Any], share: float = 1.0) -> float:
    """CPU threads, or GPUs, that a training had.

    Args:
        record: Of a trial or a confirmation run.
        share: Of a GPU, where the record does not say.
    """
    if record["device"] == "cpu":
        return float(record["num_threads"] or 1)
    return float(record["gpus"] or share)


def statuses(study: LoadedStudy) -> str:
    """How many trials there are, and how they ended."""
    counts = Counter(str(trial["status"]) for trial in study.trials)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    return f"{len(study.trials)}: {', '.join(parts)}" if parts else "0"


def _majority_row(study: LoadedStudy, like: dict[str, str]) -> dict[str, str]:
    row = dict.fromkeys(like, readable.NOT_MEASURED)
    return {
        **row,
        "method": MAJORITY,
        "test accuracy": readable.points(majority_accuracy(study)),
    }
