"""Ledgers written by hand through the real writer, for what reads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.load import LoadedStudy, load_study
from tests.test_ledger import record
from tune_sentiment.durable import write_json, write_table
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.metrics import Predictions
from tune_sentiment.proposal import Proposal
from tune_sentiment.records import Training, flat

LR = '{"name": "FloatDistribution", "attributes": {"low": 1e-5, "high": 1e-3, "log": true}}'
LR = LR.replace('"low"', '"step": null, "low"')
RANK = '{"name": "CategoricalDistribution", "attributes": {"choices": [4, 8, 16]}}'
TEXTS = 400
OWN_TEXTS = {"train": [1, 2], "validation": [3], "test": [4]}


def description(method: str, **changes: Any) -> dict[str, Any]:
    is_svm = method == "svm"
    counts = {"train": 1_234, "validation": 200, "test": TEXTS}
    return {
        "id": method,
        "method": method,
        "dataset": "demo",
        "model": "tiny",
        "metric": "val_accuracy",
        "classes": ["negative", "positive"],
        "mode": "max",
        "seed": 42,
        "schema": 2,
        "plan": {} if is_svm else {"max_epochs": 3, "evaluations_per_epoch": 1, "padding": "fixed"},
        "space": {"fixed": {}, "distributions": {} if is_svm else {"lr": LR, "rank": RANK}},
        "comparison": "c",
        "comparison_of": {"train_samples": None},
        "splits": {
            name: {"rows": rows, "class_counts": [rows // 2, rows - rows // 2]}
            for name, rows in counts.items()
        },
        **changes,
    }


def trial(number: int, accuracy: float | None, **changes: Any) -> dict[str, Any]:
    counts = {"num_trainable_params": 250, "num_total_params": 100_000, "num_threads": 1}
    times = {"train_seconds": 20.0, "eval_seconds": 2.5, "epochs_run": 3.0, "device": "cpu"}
    said = {"ended_at": f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}"}
    said |= {"started_at": "2026-01-01T00:00:00", "versions": "python=3"}
    params = changes.pop("params", {"lr": 1e-4, "rank": 8})
    values = {**counts, **times, **said, "evaluations_run": 3, "best_evaluation": 3, **changes}
    return flat(record(number, val_accuracy=accuracy, **values), params)


def answers(right: float, seed: int, num_classes: int = 2) -> Predictions:
    """Predictions of which a share is right, other texts for other seeds."""
    random = np.random.default_rng(seed)
    labels = np.arange(TEXTS) % num_classes
    wrong = random.permutation(TEXTS)[: round((1 - right) * TEXTS)]
    predicted = labels.copy()
    predicted[wrong] = (labels[wrong] + 1) % num_classes
    scores = np.eye(num_classes)[predicted]
    return Predictions(labels=labels, predicted=predicted, scores=scores, probabilities=scores)


def write(
    root: Path,
    method: str,
    trials: Sequence[dict[str, Any]],
    rights: Sequence[float | None] = (),
    *,
    openings: int = 1,
    texts: dict[str, Sequence[int]] | None = None,
    name: str | None = None,
    **changes: Any,
) -> LoadedStudy:
    """A study whose best trial was confirmed with one seed for each share of right answers."""
    about = description(method, **changes)
    folder = StudyFolder(root / (name or method))
    folder.write_study(about)
    for values in trials:
        stored = {**values, "study": folder.path.name}
        write_json(folder.path / "trials" / f"{values['number']:05d}-{values['key']}.json", stored)
        _write_evaluations(folder, values, about["metric"])
    best = max(
        (t for t in trials if t["val_accuracy"]), key=lambda t: t["val_accuracy"], default={}
    )
    for i, right in enumerate(rights):
        _write_run(folder, best, 43 + i, right, len(about["classes"]))
    if rights:
        keys = [t["key"] for t in trials]
        folder.write_selection(best["key"], keys[:3], keys)
        seeds = [43 + i for i, right in enumerate(rights) if right is not None]
        for _ in range(openings):
            folder.log_test_opening({"key": best["key"], "seeds": seeds})
    columns = [(split, h) for split, hashes in (texts or OWN_TEXTS).items() for h in hashes]
    names, hashes = zip(*columns, strict=True)
    values64 = np.array(hashes, dtype=np.uint64)
    write_table(folder.path / "texts.parquet", {"split": list(names), "text_hash": values64})
    return load_study(folder.path)


def _write_evaluations(folder: StudyFolder, values: dict[str, Any], metric: str) -> None:
    params = {name: values.get(name) for name in ("lr", "rank")}
    made = Proposal(
        number=values["number"], key=values["key"], origin="sampler", params=params, seed=42
    )
    lines = [
        {"evaluation": e, "sequence": e, "status": "running", "objective": values.get(metric)}
        | {metric: values.get(metric)}
        for e in range(1, (values["evaluations_run"] or 0) + 1)
    ]
    folder.write_training(Training(made, "now", lines))


def _write_run(
    folder: StudyFolder, best: dict[str, Any], seed: int, right: float | None, num_classes: int
) -> None:
    key = f"{best['key']}-{seed}"
    scores = {"test_accuracy": right, "test_precision": right, "test_recall": right}
    scores |= {"test_f1": right, "test_macro_f1": right}
    run = {**best, "study": folder.path.name, "key": key, "seed": seed, "trial_key": best["key"]}
    cost = {"latency_seconds": 0.01, "sentences_per_second": 200.0, "inference_device": "cpu"}
    folder.write_confirmation({**run, "origin": "confirm", **scores, **cost})
    if right is not None:
        for split in ("validation", "test"):
            folder.write_predictions(key, split, answers(right, seed, num_classes))


def write_forecast(folder: Path, **changes: Any) -> None:
    """What a search of twelve trials was expected to take."""
    made = {"trials": 12, "expected_evaluations": 30.4, "devices": 1.0, "price_per_hour": None}
    StudyFolder(folder).write_forecast({**made, "device_seconds": 7200.0, **changes})
