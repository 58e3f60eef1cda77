"""What is known of one training: its evaluations as they were made, and the record of its end.

A record follows from the evaluations alone, so a training whose end a crash kept from being
written is recorded at the next start.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tune_sentiment import provenance
from tune_sentiment.metrics import metric_named
from tune_sentiment.proposal import Proposal

SCHEMA = 2
SCORED_STATUSES = ("finished", "pruned")
STATUSES = (*SCORED_STATUSES, "diverged", "oom", "failed")
LONGEST_ERROR = 500  # characters
NO_EVALUATION = ("oom", "failed")  # a report of these says that none came about


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One ended training: flat JSON beside the hyperparameters, ``None`` where not measured.

    Metrics are those of the best evaluation. ``peak_memory_bytes`` is the process' resident size
    on a CPU and the tensors' on a GPU. ``features_seconds`` is what the frozen features behind a
    trial took to compute, once. Seconds and rates cover the whole training. ``gpus`` is the share
    of a GPU that it got last, or how many.
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
    gpus: float | None
    precision: str | None
    micro_batch_size: int | None
    accumulation: int | None
    commit: str | None
    versions: str


RECORD_FIELDS = tuple(field.name for field in fields(TrialRecord))


@dataclass
class Training:
    """What was proposed, and one line for each report that the driver received.

    Args:
        proposal: What was decided.
        started_at: When it was first begun.
        lines: Reports in their order: ``evaluation`` (from 1), ``sequence`` (study-wide),
            ``status``, ``objective``, metrics, and what the record wants to know.
    """

    proposal: Proposal
    started_at: str = field(default_factory=provenance.now)
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str | None:
        """How it ended by its own account; ``None`` while it has not."""
        last = self.lines[-1]["status"] if self.lines else "running"
        return None if last == "running" else last

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines with a look at validation that came out."""
        return [line for line in self.lines if line["status"] in ("running", "finished")]

    def note(self, report: Mapping[str, Any], sequence: int) -> bool:
        """Add a report; ``False`` for an evaluation that is known already.

        A training that goes on from its checkpoint may make its last evaluation again.
        """
        is_evaluation = report["status"] in ("running", "finished")
        if is_evaluation and report["evaluation"] <= len(self.evaluations):
            return False
        details = dict(report["details"])
        line = {
            "evaluation": report["evaluation"],
            "sequence": sequence,
            "status": report["status"],
            "objective": report["objective"],
            **details.pop("metrics", {}),
            **details,
        }
        self.lines.append({name: _finite(value) for name, value in line.items()})
        return True

    def record(
        self,
        study_id: str,
        metric: str,
        status: str,
        error: str | None,
        defaults: Mapping[str, Any],
    ) -> tuple[TrialRecord, dict[str, Any]]:
        """The record of its end, and its hyperparameters.

        Args:
            study_id: Named in the record.
            metric: Name of the searched metric: its best evaluation's scores are the record's.
            status: One of ``STATUSES``.
            error: Why it failed.
            defaults: Hyperparameters that no proposal names.
        """
        last: dict[str, Any] = {}
        for line in self.lines:
            last |= {name: value for name, value in line.items() if value is not None}
        best = self._best(metric) or {}
        values: dict[str, Any] = {name: last.get(name) for name in RECORD_FIELDS}
        values |= {name: best.get(name) for name in RECORD_FIELDS if name.startswith("val_")}
        peaks = [line["peak_memory_bytes"] for line in self.lines if line.get("peak_memory_bytes")]
        values |= {
            "schema": SCHEMA,
            "study": study_id,
            "number": self.proposal.number,
            "key": self.proposal.key,
            "origin": self.proposal.origin,
            "status": status,
            "error": error or last.get("error"),
            "seed": self.proposal.seed,
            "evaluations_run": sum(line["status"] not in NO_EVALUATION for line in self.lines),
            "best_evaluation": best.get("evaluation"),
            "train_loss": best.get("train_loss"),
            "peak_memory_bytes": max(peaks, default=None),
            "started_at": self.started_at,
            "ended_at": provenance.now(),
            "commit": provenance.commit(),
            "versions": provenance.versions(),
        }
        return TrialRecord(**values), {**defaults, **self.proposal.params}

    def _best(self, metric: str) -> dict[str, Any] | None:
        """The evaluation whose scores count: the first that is the best.

        A confirmation run stops where its trial was best, and what it is then is kept.
        """
        scored = [line for line in self.evaluations if line.get(metric) is not None]
        if not scored or self.proposal.origin == "confirm":
            return scored[-1] if scored else None
        pick = max if metric_named(metric).mode == "max" else min
        return pick(scored, key=lambda line: line[metric])  # the first of equal ones


def _finite(value: Any) -> Any:
    """The value, or ``None`` for a float that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def best_first(records: Iterable[Mapping[str, Any]], metric: str, mode: str) -> list[Any]:
    """The records by their searched metric, the earlier of two equal ones first.

    Only trials that finished or were ended early can win: one that diverged later did not train.
    """
    sign = 1 if mode == "max" else -1
    able = [r for r in records if r["status"] in SCORED_STATUSES and r[metric] is not None]
    return sorted(able, key=lambda r: (-sign * r[metric], r["number"]))


def best_trial(records: Iterable[Mapping[str, Any]], metric: str, mode: str) -> Any:
    """The first of ``best_first``; ``None`` if there is none."""
    return next(iter(best_first(records, metric, mode)), None)


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
