"""What a study and a trial are told: frozen dataclasses that check themselves.

Decides the defaults (each stands here and nowhere else) and which dataclass owns which
hyperparameter. Where hyperparameters may move is decided in ``search_spaces``.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from tune_sentiment.errors import UsageError, require, unknown

PADDINGS = ("bucketed", "packed", "dynamic", "fixed")
PRECISIONS = ("fp32", "fp16", "bf16")
SCHEDULES = ("linear", "cosine")
LOCAL = "local"  # address of a Ray that the command starts itself
HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """One method on one dataset with one backbone, as it was asked for.

    Args:
        method: Stem of a file in ``tune_sentiment/methods``.
        dataset: A name in ``DATASETS``.
        model: A name in ``BACKBONES``, a hub id, or a folder.
        trials: Configurations to search, ``>= 1``.
        max_epochs: Epochs that each trial's schedule is planned for, ``>= 1``.
        time_budget_minutes: Wall-clock limit of the search in minutes; ``None`` for no limit.
        metric: What is searched: ``val_`` and a name in ``METRICS``.
        fixed: Pinned hyperparameters by name.
        confirm_seeds: Fresh seeds for the winner; 0 leaves the test split closed.
        train_samples: Size of a stratified subset of the training split; ``None`` for all.
        max_length: Longest text in tokens, ``>= 4``; longer ones are truncated.
        padding: ``bucketed`` (similar lengths together), ``packed`` (random batches, no padding),
            ``dynamic`` (to the batch's longest) or ``fixed`` (to ``max_length``).
        precision: ``auto`` (bf16 or fp16 on a GPU, fp32 on a CPU), ``fp32``, ``fp16`` or ``bf16``.
        seed: Every trial of the study trains with it.
        name: A label for people; not part of the study's identity.
        warm_start: Results of earlier searches, whose winners are tried first.

    Raises:
        UsageError: If a value is out of its range.
    """

    method: str
    dataset: str
    model: str = "distilbert"
    trials: int = 20
    max_epochs: int = 5
    time_budget_minutes: float | None = None
    metric: str = "val_accuracy"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    confirm_seeds: int = 5
    train_samples: int | None = None
    max_length: int = 512
    padding: str = "bucketed"
    precision: str = "auto"
    seed: int = 42
    name: str | None = None
    warm_start: str | None = None

    def __post_init__(self) -> None:
        require(self.trials >= 1, "trials >= 1", self.trials)
        require(self.max_epochs >= 1, "max_epochs >= 1", self.max_epochs)
        minutes = self.time_budget_minutes
        require(
            minutes is None or (math.isfinite(minutes) and minutes > 0),
            "time_budget_minutes > 0",
            minutes,
        )
        require(self.confirm_seeds >= 0, "confirm_seeds >= 0", self.confirm_seeds)
        samples = self.train_samples
        require(samples is None or samples >= 2, "train_samples >= 2", samples)
        require(self.max_length >= 4, "max_length >= 4", self.max_length)
        require(0 <= self.seed < 2**31, "0 <= seed < 2**31", self.seed)
        if self.padding not in PADDINGS:
            raise unknown("padding", self.padding, PADDINGS, plural="Paddings")
        if self.precision not in ("auto", *PRECISIONS):
            raise unknown("precision", self.precision, ("auto", *PRECISIONS), plural="Precisions")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial gets and how many run at once; ``None`` means chosen from what is there.

    Args:
        gpus_per_trial: GPUs for one trial, a fraction or a whole number, ``>= 0``.
        cpus_per_trial: CPU threads for one trial, ``>= 1``.
        concurrency: Trials at a time, ``>= 1``.
        address: ``local`` for an own Ray, or the address of a running cluster.

    Raises:
        UsageError: If a value is out of its range.
    """

    gpus_per_trial: float | None = None
    cpus_per_trial: int | None = None
    concurrency: int | None = None
    address: str = LOCAL

    def __post_init__(self) -> None:
        gpus = self.gpus_per_trial
        if gpus is not None:
            require(math.isfinite(gpus) and gpus >= 0, "gpus_per_trial >= 0", gpus)
            require(gpus <= 1 or gpus == int(gpus), "gpus_per_trial <= 1 or whole", gpus)
        for name in ("cpus_per_trial", "concurrency"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} >= 1", value)
        if self.address not in (LOCAL, "auto") and not HOST_AND_PORT.fullmatch(self.address):
            raise UsageError(
                f"--address wants {LOCAL}, auto or HOST:PORT, got '{self.address}'; the command "
                "itself runs on one of the cluster's nodes"
            )

    @property
    def is_cluster(self) -> bool:
        """Whether Ray's nodes may be other machines than this one."""
        return self.address != LOCAL


@dataclass(frozen=True, kw_only=True)
class TrainingHyperparameters:
    """What every neural method trains with; owner of these names in every space.

    Args:
        lr: Peak learning rate of the method's own parameters, ``> 0``.
        batch_size: Sentences per optimizer step, ``>= 1``.
        warmup_ratio: Share of all planned steps with a rising learning rate, ``[0, 1)``.
        weight_decay: AdamW's decoupled decay (Loshchilov and Hutter, 2019), ``>= 0``; biases and
            norms get none.
        head_lr_over_lr: The head's learning rate divided by ``lr``, ``> 0``.
        schedule: ``linear`` or ``cosine`` decay to zero after warm-up.
        label_smoothing: Mass moved from the label to all classes, ``[0, 1)``.
        max_grad_norm: Gradients are clipped to this Euclidean norm, ``> 0``.

    Raises:
        UsageError: If a value is out of its range.
    """

    lr: float
    batch_size: int
    warmup_ratio: float
    weight_decay: float
    head_lr_over_lr: float = 1.0
    schedule: str = "linear"
    label_smoothing: float = 0.0
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("lr", "head_lr_over_lr", "max_grad_norm"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, f"{name} > 0", value)
        require(self.batch_size >= 1, "batch_size >= 1", self.batch_size)
        require(0 <= self.warmup_ratio < 1, "0 <= warmup_ratio < 1", self.warmup_ratio)
        require(0 <= self.weight_decay < math.inf, "weight_decay >= 0", self.weight_decay)
        require(0 <= self.label_smoothing < 1, "0 <= label_smoothing < 1", self.label_smoothing)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES, plural="Schedules")


@dataclass(frozen=True, kw_only=True)
class TrialConfig(TrainingHyperparameters):
    """The training loop's whole instruction: the shared hyperparameters and the study's plan.

    Args:
        max_epochs: Epochs that the schedule is planned for, ``>= 1``.
        evaluations_per_epoch: Passes over validation in each epoch, ``>= 1``.
        padding: One of ``PADDINGS``.
        precision: One of ``PRECISIONS``.
        seed: Fixes the head's initial values, dropout and the order of the sentences.
        micro_batch_size: Sentences per forward pass; ``None`` for the whole batch. Smaller ones
            accumulate to the same gradient.
    """

    max_epochs: int
    evaluations_per_epoch: int
    padding: str
    precision: str
    seed: int
    micro_batch_size: int | None = None

    @property
    def planned_evaluations(self) -> int:
        """Evaluations of a trial that nothing ends early."""
        return self.max_epochs * self.evaluations_per_epoch


def owners(own: type, *, is_neural: bool) -> dict[str, type]:
    """Each hyperparameter that a method knows, with the dataclass that owns it.

    Raises:
        TypeError: If two dataclasses claim the same name.
    """
    shared = [TrainingHyperparameters] if is_neural else []
    found: dict[str, type] = {}
    for owner in (*shared, own):
        for item in fields(owner):
            if item.name in found:
                raise TypeError(f"{item.name} belongs to {found[item.name]} and to {owner}")
            found[item.name] = owner
    return found


def defaults(owned: Mapping[str, type]) -> dict[str, Any]:
    """The hyperparameters that have a default, with it."""
    values = {f.name: f.default for owner in set(owned.values()) for f in fields(owner)}
    return {name: values[name] for name in owned if values[name] is not MISSING}


def split(
    flat: Mapping[str, Any], own: type, *, is_neural: bool, **plan: Any
) -> tuple[TrialConfig | None, Any]:
    """Give every hyperparameter of a flat configuration to its one owner.

    Args:
        flat: Hyperparameters by name.
        own: The method's own dataclass of hyperparameters.
        is_neural: Whether the method trains with the shared loop.
        plan: The study's part of ``TrialConfig``.

    Returns:
        The training loop's instruction (``None`` for a method without it) and the method's own
        hyperparameters.

    Raises:
        UsageError: If a name has no owner, is missing, or has a value out of its range.
    """
    owned = owners(own, is_neural=is_neural)
    for name in flat:
        if name not in owned:
            raise unknown("hyperparameter", name, owned, plural="Hyperparameters")
    missing = sorted(set(owned) - set(flat) - set(defaults(owned)))
    if missing:
        raise UsageError(f"no value for the hyperparameters {', '.join(missing)}")
    mine = own(**{name: value for name, value in flat.items() if owned[name] is own})
    if not is_neural:
        return None, mine
    shared = {name: value for name, value in flat.items() if owned[name] is not own}
    return TrialConfig(**shared, **plan), mine
