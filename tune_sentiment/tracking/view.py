"""A training as trackers see it: plain values from the ledger, names that never change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from tune_sentiment.durable import read_json
from tune_sentiment.ledger import CONFIRMATIONS, TRIALS, StudyFolder
from tune_sentiment.proposal import Proposal, digest
from tune_sentiment.records import SCORED_STATUSES, Training

ID_LENGTH = 32  # the shortest that Comet takes; W&B takes longer ones
ABOUT = ("method", "dataset", "model")  # what tags say
RECORD = "record/"  # before a field of a record, beside an evaluation's of the same name
BOOKKEEPING = ("evaluation", "sequence")  # of a line: where it stands, not what was measured


@dataclass(frozen=True)
class StudyView:
    """A study as trackers see it.

    Args:
        description: ``study.json``.
        table: The comparison that it stands in, in markdown; ``None`` before there is one.
    """

    description: Mapping[str, Any]
    table: str | None = None

    @property
    def name(self) -> str:
        """The study's id, the group of its runs."""
        return str(self.description["id"])

    @property
    def id(self) -> str:
        """Name of the run that stands for the study itself."""
        return digest({"study": self.name}, ID_LENGTH)

    @property
    def about(self) -> dict[str, str]:
        """Method, dataset and model."""
        return {name: str(self.description[name]) for name in ABOUT}


@dataclass(frozen=True)
class TrainingView:
    """One training as trackers see it.

    Args:
        study: Whose it is.
        training: What was proposed, and its evaluations so far.
        record: The record of its end; ``None`` while it has not ended.
    """

    study: StudyView
    training: Training
    record: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """Names the training in its study."""
        return self.training.proposal.key

    @property
    def id(self) -> str:
        """Name of its run: the same wherever and however often the ledger is read."""
        return digest({"study": self.study.name, "key": self.key}, ID_LENGTH)

    @property
    def kind(self) -> str:
        """``trial`` or ``confirm``."""
        return "confirm" if self.training.proposal.origin == "confirm" else "trial"

    @property
    def name(self) -> str:
        """What people call it."""
        proposal = self.training.proposal
        seed = f" seed {proposal.seed}" if self.kind == "confirm" else ""
        return f"{self.kind} {proposal.number}{seed}"

    @property
    def tags(self) -> dict[str, str]:
        """What it can be found by."""
        return {**self.study.about, "kind": self.kind}

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was decided before it began: every hyperparameter by name, and what it ran on."""
        about, proposal = self.study.description, self.training.proposal
        asked = about.get("comparison_of", {})
        return {
            **{name: about[name] for name in (*ABOUT, "metric")},
            **{name: asked.get(name) for name in ("train_samples", "max_length")},
            **about["plan"],
            **about.get("defaults", {}),
            **about["space"]["fixed"],
            **proposal.params,
            "seed": proposal.seed,
            "origin": proposal.origin,
            "number": proposal.number,
            "key": proposal.key,
        }

    @cached_property
    def steps(self) -> list[dict[str, float]]:
        """What was measured at each evaluation, numbers by name, in order from the first."""
        return [_numbers(line, BOOKKEEPING) for line in self.training.evaluations]

    def time_of(self, step: int) -> datetime:
        """When an evaluation was, counted from 1, by what it took to get there."""
        line = self.training.evaluations[step - 1]
        spent = (line.get("train_seconds") or 0.0) + (line.get("eval_seconds") or 0.0)
        started = datetime.fromisoformat(self.training.started_at)
        return datetime.fromtimestamp(started.timestamp() + spent, started.tzinfo)

    @property
    def has_succeeded(self) -> bool:
        """Whether it ended as it should: to its last epoch, or stopped early."""
        return self.record is not None and self.record["status"] in SCORED_STATUSES

    @cached_property
    def end(self) -> tuple[dict[str, float], dict[str, str]]:
        """Every field of the record beside the hyperparameters: numbers, then words."""
        fields = {n: v for n, v in (self.record or {}).items() if n not in self.config}
        words = {name: value for name, value in fields.items() if isinstance(value, str)}
        return _numbers(fields), words


def _numbers(values: Mapping[str, Any], left_out: tuple[str, ...] = ()) -> dict[str, float]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and name not in left_out
    }


def study_view(folder: StudyFolder) -> StudyView:
    """The study behind a folder."""
    return StudyView(read_json(folder.study_file), folder.comparison)


def trainings_of(folder: StudyFolder, study: StudyView) -> Iterator[TrainingView]:
    """Every training of a study that was ever begun: trials by number, then confirmation runs.

    One whose evaluations were lost is known by its record.
    """
    for part, records in ((TRIALS, folder.trials), (CONFIRMATIONS, folder.confirmations)):
        trainings = {training.proposal.key: training for training in folder.trainings(part)}
        ended = {record["key"]: record for record in records()}
        for key in [*trainings, *(key for key in ended if key not in trainings)]:
            record = ended.get(key)
            training = trainings.get(key) or _lost(study, ended[key])
            yield TrainingView(study, training, record)


def _lost(study: StudyView, record: Mapping[str, Any]) -> Training:
    space = study.description["space"]
    names = [name for name in (*space["distributions"], *space["fixed"]) if name in record]
    proposal = Proposal(
        number=record["number"],
        key=record["key"],
        origin=record["origin"],
        params={name: record[name] for name in names},
        seed=record["seed"],
    )
    return Training(proposal, record["started_at"])
