"""A Ray session, and what is shared through its object store: tokens and features, made once."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ray

from tune_sentiment.backbone import Backbone
from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError
from tune_sentiment.splits import Split

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anyone unless the user says so
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_AIR_NEW_OUTPUT": "0",  # Progress shows what happens
}
OBJECT_STORE_BYTES = 1 << 30
LARGEST_SHARE_OF_STORE = 0.5


@contextmanager
def ray_session(resources: Resources) -> Generator[None, None, None]:
    """A Ray for the time of the body: an own one on this machine, or a running cluster.

    Raises:
        StartError: If the cluster cannot be joined.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if resources.address == "local":
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            ray.init(address=resources.address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise StartError(f"Ray does not start at '{resources.address}': {first}") from error
    try:
        yield
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Slots:
    """How many trainings run at once, and what each gets.

    Args:
        concurrency: Trainings at a time.
        cpus: CPU threads of each.
        gpus: GPUs of each.
    """

    concurrency: int
    cpus: int
    gpus: float


def plan_slots(resources: Resources, device: str, trainings: int) -> Slots:
    """Share the machine's cores and GPUs among trainings; few trainings get more cores each.

    On CPUs every core runs a training of its own where there are enough of them: threads that
    share one small matrix product wait for each other.

    Raises:
        StartError: If more is asked for than there is.
    """
    there = ray.cluster_resources()
    cores, cards = max(1, int(there.get("CPU", 1))), there.get("GPU", 0.0)
    gpus = resources.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if device != "cpu" else 0.0
    if gpus > cards:
        raise StartError(f"{gpus:g} GPUs asked for a trial, {cards:g} in the cluster")
    if (resources.cpus_per_trial or 1) > cores:
        raise StartError(f"{resources.cpus_per_trial} CPUs asked for a trial, {cores} there")
    fitting = int(cards / gpus) if gpus else cores // (resources.cpus_per_trial or 1)
    concurrency = max(1, min(resources.concurrency or fitting, fitting, trainings))
    return Slots(concurrency, resources.cpus_per_trial or max(1, cores // concurrency), gpus)


@ray.remote
def _tokenise(backbone: Backbone, split: Split, max_length: int) -> Any:
    from tune_sentiment.tokens import tokenise

    return tokenise(backbone, split.texts, split.labels, max_length)


@ray.remote
def _features(backbone: Backbone, tokens: Any, device: str, num_threads: int) -> Any:
    import torch

    from tune_sentiment.features import frozen_features

    torch.set_num_threads(num_threads)
    return frozen_features(backbone, tokens, device)


@dataclass(frozen=True)
class SharedInputs:
    """A split as every training reads it, in the object store; made when first asked for.

    Args:
        backbone: Its tokenizer and encoder are used.
        split: Texts and labels.
        max_length: In tokens.
        device: Where features are computed.
    """

    backbone: Backbone
    split: Split
    max_length: int
    device: str

    @cached_property
    def tokens(self) -> Any:
        """Reference to ``Tokens``."""
        return _tokenise.remote(self.backbone, self.split, self.max_length)

    @cached_property
    def features(self) -> Any:
        """Reference to ``Features``."""
        gpus = 1 if self.device != "cpu" else 0
        threads = max(1, int(ray.cluster_resources().get("CPU", 1)))
        options = _features.options(num_cpus=threads if not gpus else 1, num_gpus=gpus)
        return options.remote(self.backbone, self.tokens, self.device, threads)

    def of(self, *, is_neural: bool) -> Any:
        """Reference to what a method of this kind reads."""
        return self.tokens if is_neural else self.features
