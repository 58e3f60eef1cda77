"""The durable records of a study: what is written, where, and how it is read back.

The ledger is the truth; everything else in a study's folder can be deleted. The driver alone
writes it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tune_sentiment.durable import read_json, write_json, write_table, write_text
from tune_sentiment.metrics import Predictions
from tune_sentiment.proposal import Proposal

SCHEMA = 1
SCORED_STATUSES = ("finished", "pruned")
STATUSES = (*SCORED_STATUSES, "diverged", "oom", "failed")


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One ended training: flat JSON beside the hyperparameters, ``None`` where not measured.

    Metrics are those of the best evaluation. ``peak_memory_bytes`` is the process' resident size
    on a CPU and the tensors' on a GPU. ``features_seconds`` is what the frozen features behind a
    trial took to compute, once. Seconds and rates cover the whole training.
    """

    schema: int
    study: str
    number: int
    key: str
    origin: str
    status: str
    error: str | None
    seed: int
    evaluations_run: int
    epochs_run: float | None
    best_evaluation: int | None
    val_accuracy: float | None
    val_precision: float | None
    val_recall: float | None
    val_f1: float | None
    val_macro_precision: float | None
    val_macro_recall: float | None
    val_macro_f1: float | None
    val_loss: float | None
    train_loss: float | None
    train_seconds: float | None
    eval_seconds: float | None
    features_seconds: float | None
    train_samples_per_second: float | None
    train_steps_per_second: float | None
    peak_memory_bytes: int | None
    num_trainable_params: int | None
    num_total_params: int | None
    converged: bool | None
    started_at: str
    ended_at: str
    host: str | None
    device: str | None
    num_threads: int | None
    precision: str | None
    micro_batch_size: int | None
    accumulation: int | None
    commit: str | None
    versions: str


RECORD_FIELDS = tuple(field.name for field in fields(TrialRecord))


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

    @property
    def study_file(self) -> Path:
        """What the study is."""
        return self.path / "study.json"

    @property
    def confirm(self) -> Path:
        """Confirmation runs: ``<trial's key>-<seed>.json`` and what belongs to it."""
        return self.path / "confirm"

    @property
    def winner(self) -> Path:
        """The best confirmation run as a folder that transformers loads."""
        return self.path / "winner"

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

    def write_evaluations(
        self, proposal: Proposal, lines: list[dict[str, Any]], part: str = "evaluations"
    ) -> None:
        """Write a training's evaluations whole; the first line is what was proposed."""
        rows = [{"proposal": proposal.as_dict()}, *lines]
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        write_text(self.path / part / f"{proposal.key}.jsonl", text)

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
        return [read_json(path) for path in sorted((self.path / "trials").glob("*.json"))]

    def confirmations(self) -> list[dict[str, Any]]:
        """Every confirmation run's record, by file name."""
        return [read_json(path) for path in sorted(self.confirm.glob("*.json"))]

    def evaluations(self, key: str) -> tuple[Proposal, list[dict[str, Any]]]:
        """What was proposed under a key, and its evaluations so far."""
        text = (self.path / "evaluations" / f"{key}.jsonl").read_text(encoding="utf-8")
        first, *rest = [json.loads(line) for line in text.splitlines()]
        return Proposal.from_dict(first["proposal"]), rest

    def history(self) -> list[PastTrial]:
        """Every trial that was ever begun, by number."""
        ended = {record["key"]: record["status"] for record in self.trials()}
        past = []
        for path in sorted((self.path / "evaluations").glob("*.jsonl")):
            proposal, rows = self.evaluations(path.stem)
            scored = [row for row in rows if row["status"] in ("running", "finished")]
            objectives = tuple(row["objective"] for row in scored)
            sequences = tuple(row["sequence"] for row in scored)
            past.append(PastTrial(proposal, ended.get(proposal.key), objectives, sequences))
        return sorted(past, key=lambda trial: trial.proposal.number)

    def log_test_opening(self, entry: Mapping[str, Any]) -> None:
        """Note that the test split was opened, in ``test-openings.jsonl``."""
        path = self.path / "test-openings.jsonl"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        write_text(path, before + json.dumps(entry) + "\n")

    def test_openings(self) -> int:
        """How often the test split was opened for this study."""
        path = self.path / "test-openings.jsonl"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def best_trial(records: Iterable[Mapping[str, Any]], metric: str, mode: str) -> Any:
    """The record with the best searched metric, the earlier of two equal ones; or ``None``.

    Only trials that finished or were ended early can win: one that diverged later did not train.
    """
    sign = 1 if mode == "max" else -1
    able = [r for r in records if r["status"] in SCORED_STATUSES and r[metric] is not None]
    return max(able, key=lambda r: (sign * r[metric], -r["number"]), default=None)


def flat(record: TrialRecord, params: Mapping[str, Any]) -> dict[str, Any]:
    """The record as it is written: identity, hyperparameters by name, everything else.

    Raises:
        ValueError: If a hyperparameter has the name of a field of the record.
    """
    values = asdict(record)
    if clash := set(values) & set(params):
        raise ValueError(f"hyperparameters named like fields of the record: {sorted(clash)}")
    names = list(values)
    cut = names.index("seed")
    head = {name: values[name] for name in names[:cut]}
    return {**head, **params, **{name: values[name] for name in names[cut:]}}
