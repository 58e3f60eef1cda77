"""What a study still has to run, and with what: folder, inputs, slots, what trainings share."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tune_sentiment.config import Resources
from tune_sentiment.durable import write_table
from tune_sentiment.errors import UsageError
from tune_sentiment.inference import FIELDS as INFERENCE_FIELDS
from tune_sentiment.ledger import CONFIRMATIONS, StudyFolder
from tune_sentiment.machines import machine
from tune_sentiment.methods import Method
from tune_sentiment.places import place_of
from tune_sentiment.preflight import slots_on
from tune_sentiment.recorder import Recorder
from tune_sentiment.records import RECORD_FIELDS, Training, TrialRecord, flat
from tune_sentiment.scheduler import Asha
from tune_sentiment.session import SharedInputs
from tune_sentiment.slots import Slots
from tune_sentiment.splits import SPLITS
from tune_sentiment.study import Study
from tune_sentiment.trial_setup import CHECKPOINT_SECONDS, TrialSetup

TEST_FIELDS = tuple(f.replace("val_", "test_") for f in RECORD_FIELDS if f.startswith("val_"))
CHECKPOINT_VARIABLE = "TUNE_SENTIMENT_CHECKPOINT_SECONDS"


@dataclass(frozen=True)
class Inputs:
    """Training and validation of a comparison, shared by all its trainings."""

    train: SharedInputs
    validation: SharedInputs

    @property
    def resources(self) -> Resources:
        """What was asked for."""
        return self.train.resources

    def references(self, method: Method) -> dict[str, list[Any]]:
        """The trainable's arguments; a reference in a list reaches it as a reference."""
        return {
            "train": [self.train.of(method)],
            "validation": [self.validation.of(method)],
        }


def trial_setup(study: Study, slots: Slots, folder: StudyFolder | None = None) -> TrialSetup:
    """What every training of the study shares; without a folder they leave nothing."""
    return TrialSetup(
        method=study.config.method,
        backbone=study.source.backbone,
        classes=study.source.dataset.classes,
        metric=study.config.metric,
        plan=study.plan,
        device=study.device,
        num_threads=slots.cpus,
        max_length=study.config.max_length,
        gpus=slots.gpus,
        checkpoints=None if folder is None else folder.checkpoints.resolve(),
        checkpoint_seconds=checkpoint_seconds(),
        storage=None if folder is None else place_of(folder.path),
    )


def checkpoint_seconds() -> float:
    """Least time between two checkpoints of a trial.

    Raises:
        UsageError: If the environment's is not a number.
    """
    text = os.environ.get(CHECKPOINT_VARIABLE)
    try:
        return float(text) if text else CHECKPOINT_SECONDS
    except ValueError as error:
        raise UsageError(f"{CHECKPOINT_VARIABLE} wants seconds, got '{text}'") from error


def open_folder(study: Study, results: Path) -> StudyFolder:
    """Write what the study is, and return its folder."""
    folder = StudyFolder(results / study.id)
    folder.write_study(study.describe())
    texts = folder.path / "texts.parquet"
    if not texts.exists():
        hashes = [study.source.splits[name].text_hashes for name in SPLITS]
        names = np.repeat(SPLITS, [len(column) for column in hashes])
        write_table(texts, {"split": names, "text_hash": np.concatenate(hashes)})
    return folder


def missing_trials(study: Study, folder: StudyFolder) -> int:
    """Trials that the study still has to end."""
    return 0 if folder.is_exhausted else max(0, study.num_trials - len(folder.trials()))


def slots_for(study: Study, resources: Resources, trainings: int, per_gpu: int = 1) -> Slots:
    """What each of a study's trainings gets on this Ray, where ``per_gpu`` have room on a GPU."""
    return slots_on(machine(study.device), study, resources, trainings, per_gpu)


def confirmation_recorder(
    study: Study, folder: StudyFolder, keys: Collection[str] | None = None
) -> Recorder:
    """A recorder of confirmation runs that knows those an earlier session left open.

    Args:
        study: Whose runs they are.
        folder: Its ledger.
        keys: Of the runs that are to run; all that are open if not given.
    """
    known = {record["key"] for record in folder.confirmations()}
    begun = [t for t in folder.trainings(CONFIRMATIONS) if t.proposal.key not in known]

    def write_record(record: TrialRecord, params: Mapping[str, Any]) -> None:
        trial_key = record.key.partition("-")[0]
        later = dict.fromkeys([*TEST_FIELDS, *INFERENCE_FIELDS])
        folder.write_confirmation({**flat(record, params), "trial_key": trial_key, **later})
        folder.drop_checkpoints(record.key)

    return Recorder(
        study_id=study.id,
        metric=study.config.metric,
        defaults=study.defaults,
        write_record=write_record,
        write_training=lambda training: folder.write_training(training, CONFIRMATIONS),
        begun=[t for t in begun if keys is None or t.proposal.key in keys],
    )


def scheduler_and_recorder(
    study: Study, folder: StudyFolder, trainings: Sequence[Training] | None = None
) -> tuple[Asha | None, Recorder]:
    """A search's ASHA, if its method is stopped early, and its recorder, filled from the ledger.

    Args:
        study: What is searched.
        folder: Its ledger.
        trainings: Those of the ledger, if they were read just before.
    """
    trainings = folder.trainings() if trainings is None else trainings
    past, settings = folder.history(trainings), study.scheduler()
    asha = Asha(mode=study.metric.mode, settings=settings, past=past) if settings else None
    ended = {trial.proposal.key for trial in past if trial.status is not None}

    def write_record(record: TrialRecord, params: Mapping[str, Any]) -> None:
        folder.write_trial(record, params)
        folder.drop_checkpoints(record.key)

    recorder = Recorder(
        study_id=study.id,
        metric=study.config.metric,
        defaults=study.defaults,
        write_record=write_record,
        write_training=folder.write_training,
        is_stopped=asha.is_stopped if asha else lambda key: False,
        sequence=max((line["sequence"] for t in trainings for line in t.lines), default=0),
        begun=[t for t in trainings if t.proposal.key not in ended],
    )
    return asha, recorder
