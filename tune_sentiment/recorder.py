"""Turns what Ray tells the driver into the ledger's records: one record for each ended training."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune import Callback

from tune_sentiment import provenance
from tune_sentiment.ledger import RECORD_FIELDS, SCHEMA, TrialRecord
from tune_sentiment.proposal import Proposal
from tune_sentiment.provenance import now

LINE_FIELDS = ("epochs_run", "train_seconds", "eval_seconds", "train_loss", "train_loss_curve")


class Recorder(Callback):
    """Writes evaluations as they come, and a record when a training has ended.

    A training that neither ended by itself nor was ended by the scheduler stays open: a time
    budget or a signal cut it off.

    Args:
        study_id: Named in every record.
        defaults: Hyperparameters that no proposal names.
        write_record: Takes a record and its hyperparameters.
        write_evaluations: Takes a proposal and its evaluations so far.
        is_stopped: Whether the scheduler ended the training with a key.
        sequence: Evaluations that the study has made before.
    """

    def __init__(
        self,
        *,
        study_id: str,
        defaults: Mapping[str, Any],
        write_record: Callable[[TrialRecord, Mapping[str, Any]], None],
        write_evaluations: Callable[[Proposal, list[dict[str, Any]]], None],
        is_stopped: Callable[[str], bool] = lambda key: False,
        sequence: int = 0,
    ) -> None:
        self.study_id, self.defaults = study_id, defaults
        self.write_record, self.write_evaluations = write_record, write_evaluations
        self.is_stopped = is_stopped
        self.sequence = sequence
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.last: dict[str, dict[str, Any]] = {}
        self.started: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy of every callback and never reads it."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note what was proposed, so that an open training can go on later."""
        self._begin(Proposal.from_dict(trial.config))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note an evaluation."""
        proposal = Proposal.from_dict(trial.config)
        details = result["details"]
        self.sequence += 1
        self.last[proposal.key] = result
        self.lines[proposal.key].append(
            {
                "evaluation": result["evaluation"],
                "sequence": self.sequence,
                "status": result["status"],
                "objective": _finite(result["objective"]),
                **{name: details.get(name) for name in LINE_FIELDS},
                **details.get("metrics", {}),
            }
        )
        self.write_evaluations(proposal, self.lines[proposal.key])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record how a training ended."""
        proposal = Proposal.from_dict(trial.config)
        last = self.last.get(proposal.key)
        if last is None:
            self._record(proposal, "failed", "the trial ended without a report")
        elif last["status"] != "running":
            self._record(proposal, last["status"], last["details"].get("error"))
        elif self.is_stopped(proposal.key):
            self._record(proposal, "pruned", None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a training that raised or whose worker died."""
        lines = str(trial.get_error() or "unknown error").strip().splitlines()
        self._record(Proposal.from_dict(trial.config), "failed", lines[-1][:500])

    def _begin(self, proposal: Proposal) -> None:
        self.lines[proposal.key] = []
        self.started[proposal.key] = now()
        self.write_evaluations(proposal, [])

    def _record(self, proposal: Proposal, status: str, error: str | None) -> None:
        if proposal.key not in self.lines:  # its worker never came up
            self._begin(proposal)
        lines = self.lines[proposal.key]
        scored = [line for line in lines if line["objective"] is not None and _has_metrics(line)]
        best = self._best(scored)
        details = self.last.get(proposal.key, {}).get("details", {})
        values = dict.fromkeys(RECORD_FIELDS)
        values |= {name: details[name] for name in RECORD_FIELDS if name in details}
        if best is not None:
            values |= {name: best.get(name) for name in RECORD_FIELDS if name.startswith("val_")}
            values["train_loss"] = best.get("train_loss")
        values |= {
            "schema": SCHEMA,
            "study": self.study_id,
            "number": proposal.number,
            "key": proposal.key,
            "origin": proposal.origin,
            "status": status,
            "error": error,
            "seed": proposal.seed,
            "evaluations_run": len(lines),
            "best_evaluation": None if best is None else best["evaluation"],
            "started_at": details.get("started_at") or self.started[proposal.key],
            "ended_at": now(),
            "commit": provenance.commit(),
            "versions": provenance.versions(),
        }
        record = TrialRecord(**{k: _finite(v) for k, v in values.items()})
        self.write_record(record, {**self.defaults, **proposal.params})

    def _best(self, lines: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The first evaluation that reached the training's best objective."""
        if not lines:
            return None
        goal = lines[-1]["objective"]  # objectives are running bests
        return next(line for line in lines if line["objective"] == goal)


def _has_metrics(line: dict[str, Any]) -> bool:
    return line.get("val_accuracy") is not None


def _finite(value: Any) -> Any:
    """The value, or ``None`` for a float that JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
