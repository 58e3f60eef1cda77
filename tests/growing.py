"""A ledger that grows as a search writes it, for what reads it in between."""

from pathlib import Path
from typing import Any

from tests.ledgers import description
from tune_sentiment.ledger import CONFIRMATIONS, TRIALS, StudyFolder
from tune_sentiment.proposal import Proposal
from tune_sentiment.records import Training, flat

STARTED = "2026-01-02T03:04:05+00:00"


class Growing:
    """A study of LoRA, written by the ledger's own writers.

    Args:
        root: The results folder.
        name: The study's id and folder.
    """

    def __init__(self, root: Path, name: str = "lora") -> None:
        self.folder = StudyFolder(root / name)
        self.about = {**description("lora"), "id": name, "written_at": STARTED}
        self.folder.write_study(self.about)
        self.sequence = 0

    def begin(self, number: int, **about: Any) -> Training:
        params = {"lr": 1e-4 * (number + 1), "rank": 8}
        values = {"key": f"k{number}", "origin": "sampler", "seed": 42, **about}
        training = Training(Proposal(number=number, params=params, **values), STARTED)
        self._write(training)
        return training

    def confirm(self, number: int, seed: int = 43) -> Training:
        return self.begin(number, key=f"k{number}-{seed}", origin="confirm", seed=seed)

    def evaluate(self, training: Training, accuracy: float, status: str = "running") -> None:
        self.sequence += 1
        evaluation = len(training.evaluations) + 1
        details = {"train_loss": 1 / evaluation, "train_seconds": 10.0 * evaluation}
        details |= {"metrics": {"val_accuracy": accuracy}, "eval_seconds": 1.0, "device": "cpu"}
        report = {"status": status, "evaluation": evaluation, "objective": accuracy}
        training.note({**report, "details": details}, self.sequence)
        self._write(training)

    def end(self, training: Training, status: str, **later: Any) -> None:
        """Write the record; ``later`` is what a confirmation run's gets beside it."""
        made = training.record(self.about["id"], "val_accuracy", status, None, {"dropout": 0.1})
        if training.proposal.origin == "confirm":
            trial = training.proposal.key.partition("-")[0]
            self.folder.write_confirmation({**flat(*made), "trial_key": trial, **later})
        else:
            self.folder.write_trial(*made)

    def _write(self, training: Training) -> None:
        is_run = training.proposal.origin == "confirm"
        self.folder.write_training(training, CONFIRMATIONS if is_run else TRIALS)
