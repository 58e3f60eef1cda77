"""64 configurations of svm and freeze: what caching the frozen features is worth.

Every side is a process of its own, from its start to its end, with empty caches; all try the same
configurations on the same sentences.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.configurations import freeze_configurations, svm_configurations
from benchmarks.corpus import MODEL, SEED, corpus
from benchmarks.floors import encoding_flops
from benchmarks.harness import NULL, OURS, Row, measure, sgemm_gflops
from benchmarks.processes import run_side
from tune_sentiment.provenance import cores

ROUNDS, TRAIN_SAMPLES, MAX_EPOCHS, EACH = 3, 2048, 5, 32
HAND, SECOND = "Optuna and scikit-learn, features cached by hand", "our second study"
DEFAULT = "hyperparameter_search(optuna), nothing cached"
TARGETS = {HAND: 2.5, DEFAULT: 150.0}


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows beside the hand-cached loop, the default search, and our second study."""
    each, samples = (3, 64) if quick else (EACH, TRAIN_SAMPLES)
    asked: dict[str, Any] = {
        "dataset": "rotten_tomatoes",
        "model": MODEL,
        "seed": SEED,
        "train_samples": samples,
        "max_epochs": MAX_EPOCHS,
        "configurations": {
            "svm": svm_configurations(each),
            "freeze": freeze_configurations(each),
        },
    }
    found: dict[str, dict[str, list[float]]] = {}

    def side(name: str, module: str, cache: Path | None = None) -> float:
        seconds, found[name] = run_side(module, asked, cache)
        return seconds

    def default() -> float:
        _, prefix = run_side("benchmarks.peers.frozen_default", asked)
        return float(prefix["seconds_per_epoch"]) * each * (MAX_EPOCHS + 1)

    with tempfile.TemporaryDirectory() as warm:
        if not quick:
            run_side("benchmarks.frozen_ours", asked, Path(warm))  # fills the cache
        sides = {
            OURS: lambda: side(OURS, "benchmarks.frozen_ours"),
            HAND: lambda: side(HAND, "benchmarks.peers.frozen"),
        }
        if not quick:
            sides[DEFAULT] = default
            sides[NULL] = lambda: side(NULL, "benchmarks.frozen_ours")
            sides[SECOND] = lambda: side(SECOND, "benchmarks.frozen_ours", Path(warm))
        what = f"{2 * each} configurations, {samples} sentences"
        say(what)
        measured = measure(sides, 1 if quick else ROUNDS, say)
    data = corpus(asked["dataset"], samples)
    operations = sum(
        encoding_flops(data.backbone, tokens)
        for tokens in (data.train_tokens, data.validation_tokens)
    )
    limit = operations / (sgemm_gflops(cores()) * 1e9)
    rows = measured.rows(what, TARGETS, limit, val_accuracy=_accuracies(found))
    for row in rows:
        if row["peer"] == DEFAULT:
            row["note"] = (
                f"extrapolated from two epochs, batch sizes 16 and 128: {each} heads of "
                f"{MAX_EPOCHS} epochs, and {each} SVMs that encode everything once each"
            )
    return rows


def _accuracies(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """The best and the mean validation accuracy of each side's configurations."""
    return {
        side: {
            f"{method}_{name}": float(of(values))
            for method, values in methods.items()
            for name, of in (("best", np.max), ("mean", np.mean))
        }
        for side, methods in found.items()
    }
