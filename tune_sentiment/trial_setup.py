"""What the trials of a study share, and how one's model is built from it.

Imports nothing heavy: the driver makes a ``TrialSetup``, what trains or scores builds models.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tune_sentiment.backbone import Backbone
from tune_sentiment.config import split
from tune_sentiment.methods import METHODS
from tune_sentiment.working_copy import Place

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class TrialSetup:
    """What every trial of a study shares.

    Args:
        method: A name in METHODS.
        backbone: The pretrained encoder.
        classes: Names of the classes, in their order.
        metric: The searched metric, with its split.
        plan: The study's part of ``TrialConfig``, without the seed.
        device: ``cpu`` or ``cuda``.
        num_threads: CPU threads of a trial.
        max_length: Longest text in tokens.
        gpus: Share of a GPU that a trial may take, where the device is one.
        checkpoints: Folder of the study's checkpoints; ``None`` to make none.
        checkpoint_seconds: Least time between two checkpoints of a trial.
        storage: Where the results folder is a working copy of; ``None`` for a plain one.
    """

    method: str
    backbone: Backbone
    classes: tuple[str, ...]
    metric: str
    plan: Mapping[str, Any]
    device: str
    num_threads: int
    max_length: int
    gpus: float = 1.0
    checkpoints: Path | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    storage: Place | None = None

    def at_a_time(self, micro_batch_size: int | None) -> "TrialSetup":
        """The same with so many texts in a forward pass; ``None`` for the whole batch."""
        return replace(self, plan={**self.plan, "micro_batch_size": micro_batch_size})

    def in_halves(self, params: Mapping[str, Any]) -> "TrialSetup | None":
        """The same with half a batch at a time; ``None`` where that is so, or cannot be."""
        batch_size = params.get("batch_size", 1)
        if not self.plan or self.plan.get("micro_batch_size") or batch_size == 1:
            return None
        return self.at_a_time(math.ceil(batch_size / 2))


def build_model(setup: TrialSetup, params: Mapping[str, Any], seed: int) -> tuple[Any, Any]:
    """A neural method's model before training, and its instruction.

    The seed fixes all that is random, from the head's initial values to dropout.
    """
    return _built(setup, params, seed)[:2]


def _built(setup: TrialSetup, params: Mapping[str, Any], seed: int) -> tuple[Any, Any, Any]:
    """Those two, and the method's own hyperparameters."""
    import torch

    method = METHODS[setup.method]
    assert method.prepare is not None
    config, own = split(params, method.hyperparameters, is_neural=True, seed=seed, **setup.plan)
    torch.manual_seed(seed)
    model = setup.backbone.classifier(setup.classes)
    method.prepare(model, own)
    return model.to(setup.device), config, own


def build_state(setup: TrialSetup, params: Mapping[str, Any], seed: int, train: Any) -> Any:
    """A neural method's training before its first step."""
    from tune_sentiment.parameter_groups import parameter_groups
    from tune_sentiment.train import TrainState

    model, config, own = _built(setup, params, seed)
    method = METHODS[setup.method]
    return TrainState.new(
        model,
        config,
        train,
        groups=partial(
            parameter_groups, lr_factor=partial(method.lr_factor, own), decays=method.decays
        ),
        on_step=partial(method.on_step, model, own),
    )
