"""A whole study of frozen features, from the start of its process to two models: svm and freeze.

Ours is the command, which forecasts, keeps every trial, trains its winners again with a fresh seed
and opens the test split; the others encode once, search, and fit their winners again.
"""

from collections.abc import Callable

from benchmarks.harness import Row
from benchmarks.study_end_to_end import STUDY, Peers, beside

ROUNDS = 3
MODULE = "benchmarks.peers.frozen_studies"
OPTUNA = "Optuna and scikit-learn, features cached by hand"
TUNE = "Ray Tune's Tuner, features cached by hand"
PEERS: Peers = {OPTUNA: (MODULE, "optuna"), TUNE: (MODULE, "tune")}
FROZEN = {
    **{name: STUDY[name] for name in ("dataset", "model", "seed", "device")},
    "what": "trials each of svm and freeze",
    "method": "freeze",
    "winners": ["svm", "freeze"],
    "train_samples": 2048,
    "trials": 32,
    "max_epochs": 5,
    "params": {},
}
QUICK = {**FROZEN, "train_samples": 64, "trials": 2, "max_epochs": 1}


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the time to the models."""
    if quick:
        return beside(QUICK, {OPTUNA: PEERS[OPTUNA]}, 1, say)
    return beside(FROZEN, PEERS, ROUNDS, say)
