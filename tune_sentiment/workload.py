"""What a study still has to run, and with what: inputs, slots, and what its trainings share."""

import os
from dataclasses import dataclass
from typing import Any

from tune_sentiment.config import Resources
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.methods import Method
from tune_sentiment.session import SharedInputs, machine
from tune_sentiment.slots import Slots, plan_slots
from tune_sentiment.study import Study
from tune_sentiment.trial_setup import CHECKPOINT_SECONDS, TrialSetup


@dataclass(frozen=True)
class Inputs:
    """Training and validation of a comparison, shared by all its trainings."""

    train: SharedInputs
    validation: SharedInputs

    def references(self, method: Method) -> dict[str, list[Any]]:
        """The trainable's arguments; a reference in a list reaches it as a reference."""
        return {
            "train": [self.train.of(method)],
            "validation": [self.validation.of(method)],
        }


def trial_setup(study: Study, slots: Slots, folder: StudyFolder | None = None) -> TrialSetup:
    """What every training of the study shares; without a folder they leave no checkpoints."""
    return TrialSetup(
        method=study.config.method,
        backbone=study.source.backbone,
        classes=study.source.dataset.classes,
        metric=study.config.metric,
        plan=study.plan,
        device=study.device,
        num_threads=slots.cpus,
        max_length=study.config.max_length,
        checkpoints=None if folder is None else folder.checkpoints.resolve(),
        checkpoint_seconds=float(os.environ.get(CHECKPOINT_VARIABLE) or CHECKPOINT_SECONDS),
    )


CHECKPOINT_VARIABLE = "TUNE_SENTIMENT_CHECKPOINT_SECONDS"


def missing_trials(study: Study, folder: StudyFolder) -> int:
    """Trials that the study still has to end."""
    if folder.is_exhausted:
        return 0
    size = study.space.size()
    asked = study.config.trials if size is None else min(size, study.config.trials)
    return max(0, asked - len(folder.trials()))


def slots_for(study: Study, resources: Resources, trainings: int) -> Slots:
    """What each of a study's trainings gets on this Ray."""
    weights = study.source.backbone.weights_bytes if study.method.is_neural else 0
    return plan_slots(resources, machine(), study.device, max(1, trainings), weights)
