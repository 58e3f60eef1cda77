"""The durable records of a study: what is written, where, and how it is read back.

The ledger is the truth; everything else in a study's folder can be deleted. The driver alone
writes it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tune_sentiment.durable import (
    ReadOnce,
    names_in,
    read_json,
    remove,
    remove_folder,
    remove_unfinished,
    write_json,
    write_table,
    write_text,
)
from tune_sentiment.inside import check_key
from tune_sentiment.metrics import Predictions
from tune_sentiment.proposal import Proposal
from tune_sentiment.records import Training, TrialRecord, flat

TRIALS = "evaluations"  # where trials and confirmation runs keep their evaluations
CONFIRMATIONS = "confirm"
SELECTION = "selection.json"
WINNER_FILE = "winner.json"
COMPARISON = "comparison.md"
FORECAST = "forecast.json"
TRACKING = "tracking"  # beside the records: what was logged; beside studies: offline files


@dataclass(frozen=True)
class PastTrial:
    """What the ledger knows of a trial, ended or open.

    Args:
        proposal: What was decided.
        status: How it ended; ``None`` while it is open.
        objectives: The best searched metric so far at each evaluation, in order.
        sequences: Study-wide number of each evaluation, in order.
    """

    proposal: Proposal
    status: str | None
    objectives: tuple[float, ...]
    sequences: tuple[int, ...]


class StudyFolder:
    """A study's folder; each file's format stands with the method that writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._trials = ReadOnce(path / "trials", _record)
        self._confirmations = ReadOnce(self.confirm, _record)

    @property
    def study_file(self) -> Path:
        """What the study is."""
        return self.path / "study.json"

    @property
    def checkpoints(self) -> Path:
        """States of open trainings, in a folder for each key; written by workers."""
        return self.path / "checkpoints"

    @property
    def confirm(self) -> Path:
        """Confirmation runs: ``<trial's key>-<seed>.json`` and what belongs to it."""
        return self.path / CONFIRMATIONS

    @property
    def winner(self) -> Path:
        """The best confirmation run as a folder that transformers loads."""
        return self.path / "winner"

    @property
    def selection(self) -> dict[str, Any] | None:
        """Which trial is confirmed, as it was decided last; ``None`` before that."""
        path = self.path / SELECTION
        return read_json(path) if path.exists() else None

    def write_selection(self, winner: str, candidates: list[str], trials: list[str]) -> None:
        """Write which trial is confirmed, among which, and what trials there were then."""
        made = {"winner": winner, "candidates": candidates, "trials": sorted(trials)}
        write_json(self.path / SELECTION, made)

    @property
    def forecast(self) -> dict[str, Any] | None:
        """What the study was expected to take when its search began; ``None`` if nobody said."""
        path = self.path / FORECAST
        return read_json(path) if path.exists() else None

    def write_forecast(self, made: Mapping[str, Any]) -> None:
        """Write a forecast; one of as many trials stays as it was made first, but for its price."""
        before, price = self.forecast, made["price_per_hour"]
        if before is None or before["trials"] != made["trials"]:
            write_json(self.path / FORECAST, made)
        elif price is not None and before["price_per_hour"] != price:
            write_json(self.path / FORECAST, {**before, "price_per_hour": price})

    @property
    def comparison(self) -> str | None:
        """The comparison that the study stands in, in markdown, as it was printed last."""
        path = self.path / COMPARISON
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write_comparison(self, table: str) -> None:
        """Write the comparison that was printed, unless it is there already."""
        if self.comparison != table:
            write_text(self.path / COMPARISON, table)

    def tracking_file(self, tracker: str) -> Path:
        """What was logged to a tracker."""
        return self.path / TRACKING / f"{tracker}.json"

    def predictions_file(self, key: str, split: str) -> Path:
        """Per-item predictions of a confirmation run."""
        return self.confirm / f"{key}-predictions-{split}.parquet"

    def tensors_file(self, key: str) -> Path:
        """What a confirmation run trained, until its test score is known."""
        return self.confirm / f"{key}.safetensors"

    def write_study(self, description: Mapping[str, Any]) -> None:
        """Write ``study.json`` whole; a search space that was used up stays so."""
        write_json(self.study_file, {**description, "is_exhausted": self.is_exhausted})

    @property
    def is_exhausted(self) -> bool:
        """Whether the search found nothing new to try."""
        return self.study_file.exists() and bool(read_json(self.study_file)["is_exhausted"])

    def mark_exhausted(self) -> None:
        """Note that the search found nothing new to try."""
        write_json(self.study_file, {**read_json(self.study_file), "is_exhausted": True})

    def write_trial(self, record: TrialRecord, params: Mapping[str, Any]) -> None:
        """Write a trial's only record."""
        name = f"{record.number:05d}-{record.key}.json"
        write_json(self.path / "trials" / name, flat(record, params))

    def write_confirmation(self, record: Mapping[str, Any]) -> None:
        """Write a confirmation run's record: after its training, and again with its test score."""
        write_json(self.confirm / f"{record['key']}.json", record)

    def write_training(self, training: Training, part: str = TRIALS) -> None:
        """Write a training's evaluations whole; the first line is what was proposed."""
        head = {"proposal": training.proposal.as_dict(), "started_at": training.started_at}
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in [head, *training.lines])
        write_text(self.path / part / f"{training.proposal.key}.jsonl", text)

    def drop_checkpoints(self, key: str) -> None:
        """Delete the states of a training that has ended.

        Raises:
            StartError: If the key could name another folder: what it names is deleted whole.
        """
        check_key(key, self.checkpoints)
        remove_folder(self.checkpoints / key)

    def drop_tensors(self) -> None:
        """Delete what confirmation runs trained, once the winner is exported."""
        for name in names_in(self.confirm):
            if name.endswith(".safetensors"):
                remove(self.confirm / name)

    def tidy(self) -> None:
        """Delete what a killed process left: unfinished files, states of ended trainings."""
        remove_unfinished(self.path, keep=[self.path / "ray", self.path / TRACKING])
        ended = {record["key"] for record in [*self.trials(), *self.confirmations()]}
        for key in ended & {*names_in(self.checkpoints)}:
            self.drop_checkpoints(key)

    def write_predictions(self, key: str, split: str, made: Predictions) -> None:
        """Write a confirmation run's rows of ``index, label, predicted, score, probabilities``.

        The score is that of the positive class for two classes, else that of the predicted class:
        a probability, or a decision value where there are none.
        """
        import pyarrow

        chosen = np.ones_like(made.predicted) if made.num_classes == 2 else made.predicted
        rows = len(made.labels)
        none = pyarrow.nulls(rows, pyarrow.list_(pyarrow.float64()))
        columns = {
            "index": np.arange(rows),
            "label": made.labels,
            "predicted": made.predicted,
            "score": made.scores[np.arange(rows), chosen],
            "probabilities": none if made.probabilities is None else made.probabilities.tolist(),
        }
        write_table(self.predictions_file(key, split), columns)

    def trials(self) -> list[dict[str, Any]]:
        """Every trial's record, by number."""
        return self._trials.read()

    def confirmations(self) -> list[dict[str, Any]]:
        """Every confirmation run's record, by file name."""
        return self._confirmations.read()

    def trainings(self, part: str = TRIALS) -> list[Training]:
        """Every training that was ever begun, by number."""
        made = []
        for path in (self.path / part).glob("*.jsonl"):
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            proposal = Proposal.from_dict(rows[0]["proposal"])
            check_key(proposal.key, path)
            made.append(Training(proposal, rows[0]["started_at"], rows[1:]))
        return sorted(made, key=lambda training: training.proposal.number)

    def history(self, trainings: Iterable[Training] | None = None) -> list[PastTrial]:
        """Every trial that was ever begun, or those given, as sampler and scheduler need them."""
        ended = {record["key"]: record["status"] for record in self.trials()}
        return [
            PastTrial(
                training.proposal,
                ended.get(training.proposal.key),
                tuple(line["objective"] for line in training.evaluations),
                tuple(line["sequence"] for line in training.evaluations),
            )
            for training in (self.trainings() if trainings is None else trainings)
        ]

    def log_test_opening(self, entry: Mapping[str, Any]) -> None:
        """Note that the test split was opened, in ``test-openings.jsonl``."""
        path = self.path / "test-openings.jsonl"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        write_text(path, before + json.dumps(entry) + "\n")

    def test_openings(self) -> int:
        """How often the test split was opened for this study."""
        path = self.path / "test-openings.jsonl"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def _record(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = read_json(path)
    check_key(record["key"], path)
    return record


def study_folders(roots: Iterable[Path]) -> list[Path]:
    """Every folder with a ``study.json`` under these: a results folder, or a study's own."""
    found: set[Path] = set()
    for root in roots:
        found |= {file.parent.resolve() for file in root.glob("study.json")}
        found |= {file.parent.resolve() for file in root.glob("*/study.json")}
    return sorted(found)
