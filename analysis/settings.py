"""Tables of settings and what they cost: winners, parameters, run times, the baseline, the grid."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd

from analysis import readable
from analysis.answers import pairs, sides
from analysis.load import LoadedStudy, by_comparison
from analysis.stats import words
from tune_sentiment.columns import Columns
from tune_sentiment.config import StudyConfig
from tune_sentiment.methods import BASELINE
from tune_sentiment.records import SCORED_STATUSES

DEFAULTS = {
    **{f.name: f.default for f in (*fields(StudyConfig), *fields(Columns))},
    "text_column": "text",
    "label_column": "label",
    "max_epochs": None,
}
SPLITS = {"validation": "val", "test": "test"}


def svm(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """The baseline on validation and test."""
    rows = []
    for side in sides(studies):
        runs = side.study.scored
        if side.study.method != BASELINE or not runs:
            continue
        macro = "" if len(side.study.description["classes"]) == 2 else "macro_"
        for split, prefix in SPLITS.items():
            row = {"method": side.name, "split": split}
            for name, metric in (
                ("accuracy", "accuracy"),
                ("precision", f"{macro}precision"),
                ("recall", f"{macro}recall"),
                ("F1", f"{macro}f1"),
            ):
                row[name] = readable.points(runs[0].get(f"{prefix}_{metric}"))
            rows.append(row)
    return pd.DataFrame(rows)


def parameters(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """What each method trains of the model."""
    rows = []
    for side in sides(studies):
        winner = side.study.winner
        if winner is None or winner["num_trainable_params"] is None:
            continue
        trainable, total = winner["num_trainable_params"], winner["num_total_params"]
        row = {"method": side.name, "trainable": f"{trainable:,}", "all": f"{total:,}"}
        rows.append({**row, "share": f"{100 * trainable / total:.3g} %"})
    return pd.DataFrame(rows)


def inference(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """Forward passes of the winner: one sentence alone, and 64 at a time.

    What LoRA inserted is merged into the weights, and beside it as it was trained.
    """
    rows = []
    for side in sides(studies):
        for kind, prefix in (("as used", ""), ("unmerged", "unmerged_")):
            latency = _mean_known(side.study.scored, f"{prefix}latency_seconds")
            rate = _mean_known(side.study.scored, f"{prefix}sentences_per_second")
            if latency is not None:
                rows.append(
                    {
                        "method": side.name,
                        "weights": kind,
                        "device": next(
                            (d for run in side.study.scored if (d := run.get("inference_device"))),
                            readable.NOT_MEASURED,
                        ),
                        "ms for one sentence": f"{1000 * latency:.1f}",
                        "sentences/s, 64 at a time": readable.seconds(rate),
                    }
                )
    return pd.DataFrame(rows)


def runtime(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """What trainings of each padding and device took; means over trials that were scored."""
    rows = []
    for side in sides(studies):
        study = side.study
        trials = [t for t in study.trials if t["status"] in SCORED_STATUSES and t["train_seconds"]]
        for device in sorted({str(trial["device"]) for trial in trials}):
            mine = [trial for trial in trials if str(trial["device"]) == device]
            per_epoch = [t["train_seconds"] / t["epochs_run"] for t in mine if t["epochs_run"]]
            rows.append(
                {
                    "method": side.name,
                    "padding": study.description["plan"].get("padding", readable.NOT_MEASURED),
                    "device": device,
                    "trials": str(len(mine)),
                    "seconds per epoch": readable.seconds(_mean(per_epoch)),
                    "samples/s": readable.seconds(_mean_known(mine, "train_samples_per_second")),
                    "steps/s": readable.seconds(_mean_known(mine, "train_steps_per_second")),
                }
            )
    return pd.DataFrame(rows)


def winners(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """Each study's winner, and the command that trains it again."""
    rows = []
    for side in sides(studies):
        winner = side.study.winner
        if winner is None:
            continue
        found = hyperparameters(side.study, winner)
        setting = ", ".join(f"{name}={readable.value(v)}" for name, v in found.items())
        command = replay(side.study, found)
        rows.append(
            {"method": side.name, "trial": str(winner["number"]), "configuration": setting}
            | {"command": command}
        )
    return pd.DataFrame(rows)


def hyperparameters(study: LoadedStudy, record: dict[str, Any]) -> dict[str, Any]:
    """The searched and pinned values of a trial.

    Of a space of the user's own the defaults, too: another space may search them.
    """
    space = study.description["space"]
    names = [*study.searched, *(space.get("fixed") or {})]
    if space.get("is_own"):
        names += study.description.get("defaults") or {}
    return {name: record[name] for name in sorted(names) if name in record}


def replay(study: LoadedStudy, values: dict[str, Any], *, is_public: bool = False) -> str:
    """The command that runs exactly one configuration of a study.

    Its results go to a folder of their own: beside the search they would be one more row.

    Args:
        study: Whose configuration it is.
        values: Its hyperparameters.
        is_public: Whether folders of this machine are left out.
    """
    about = study.description
    asked = about.get("asked") or {}
    words = ["--method", study.method]
    for name in ("dataset", "model"):
        value = str(asked.get(name, about[name]))
        is_path = value.startswith(("/", ".", "~")) or value.count("/") > 1
        words += [f"--{name}", Path(value).name if is_public and is_path else value]
    for name, value in values.items():
        words += ["--fix", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    words += ["--trials", "1"]
    known = {
        "max_epochs": about["plan"].get("max_epochs"),
        "train_samples": about["comparison_of"].get("train_samples"),
        "max_length": about["comparison_of"].get("max_length"),
        "metric": about["metric"],
        "seed": about["seed"],
        "confirm_seeds": None if study.is_deterministic else len(study.scored) or None,
        **{name: asked.get(name) for name in ("padding", "precision")},
    }
    columns = about.get("columns") or {}
    known |= {f"{name}_column": columns.get(name) for name in ("text", "label")}
    known |= {"encoding": columns.get("encoding"), "drop_empty": columns.get("drop_empty")}
    for name, value in known.items():
        if value is not None and value != DEFAULTS.get(name):
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, str(value)]
    words += ["--results", "replay"]
    return f"python run_search.py {shlex.join(words)}"


def grid(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """Mean test accuracy of every method (rows) on every dataset and model (columns)."""
    cells: dict[str, dict[str, str]] = {}
    columns: dict[str, str] = {}
    groups = by_comparison(studies).values()
    for side in [side for group in groups for side in sides(group)]:
        about = side.study.description
        samples = about["comparison_of"].get("train_samples") or about["splits"]["train"]["rows"]
        column = f"{about['dataset']} · {about['model']} · {samples:,}"
        while columns.setdefault(column, about["comparison"]) != about["comparison"]:
            column += " ′"  # the same words, but another seed, metric or length
        scores = [run["test_accuracy"] for run in side.study.scored]
        shown = f"{100 * mean(scores):.1f} (n={len(scores)})" if scores else readable.NOT_MEASURED
        cells.setdefault(side.name, {})[column] = shown
    return pd.DataFrame(
        [
            {"method": method, **{name: row.get(name, readable.NOT_MEASURED) for name in columns}}
            for method, row in cells.items()
        ]
    )


def all_pairs(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """Every pair of a comparison: the difference in test accuracy, in points, and whether it is."""
    return pd.DataFrame(
        [
            {
                "pair": f"{pair.a.name} - {pair.b.name}",
                "difference": readable.signed(pair.estimate.value),
                "95 % interval": readable.interval(pair.estimate, is_difference=True),
                "raw p": readable.p_value(pair.estimate.p),
                "corrected p (Holm)": readable.p_value(pair.corrected),
                "McNemar, first seeds": readable.p_value(pair.mcnemar),
                "is it real?": words(pair.estimate, pair.corrected, pair.b.name),
            }
            for pair in pairs(sides(studies))
        ]
    )


def _mean_known(runs: Sequence[dict[str, Any]], name: str) -> float | None:
    return _mean([run[name] for run in runs if run.get(name) is not None])


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None
