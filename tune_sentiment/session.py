"""A Ray session, and what is shared through its object store: tokens and features, made once."""

import logging
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import ray

from tune_sentiment.backbone import Backbone
from tune_sentiment.config import Resources
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import StartError, Terminated
from tune_sentiment.methods import Method
from tune_sentiment.splits import Split

OBJECT_STORE_BYTES = 1 << 30
PROCESS_BYTES = 1 << 30  # a worker with its libraries, before any model
TRAINING_COPIES = 5  # weights, gradients, AdamW's two moments, and room for activations


@contextmanager
def ray_session(resources: Resources) -> Generator[None, None, None]:
    """A Ray for the time of the body: an own one on this machine, or a running cluster.

    Raises:
        StartError: If the cluster cannot be joined.
    """
    set_environment()
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
    signal.signal(signal.SIGTERM, _terminate)  # Ray's own handler ends without a word
    try:
        yield
    finally:
        ray.shutdown()


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


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


@dataclass(frozen=True)
class Machine:
    """What one node of the cluster has, the one with the most.

    Args:
        cores: CPU cores of that node.
        cards: GPUs of that node.
        memory: Bytes for workers on that node.
        nodes: How many nodes there are.
    """

    cores: int
    cards: float
    memory: float
    nodes: int = 1


def machine() -> Machine:
    """The largest node of the running Ray: a training never spans two."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return Machine(
        cores=max(1, *(int(node.get("CPU", 0)) for node in nodes)),
        cards=max(node.get("GPU", 0.0) for node in nodes),
        memory=max(node.get("memory", 0.0) for node in nodes),
        nodes=sum(node.get("CPU", 0) > 0 for node in nodes),
    )


def plan_slots(
    resources: Resources, there: Machine, device: str, trainings: int, weights_bytes: int = 0
) -> Slots:
    """Share cores and GPUs among trainings; few trainings get more cores each.

    On CPUs every core runs a training of its own where there are enough of them and memory for
    all: threads that share one small matrix product wait for each other.

    Args:
        resources: What was asked for.
        there: What there is.
        device: Where the trainings run, ``cpu`` or ``cuda``.
        trainings: How many there are to run.
        weights_bytes: Size of the backbone, for the estimate of memory.

    Raises:
        StartError: If more is asked for than there is.
    """
    asked = resources.gpus_per_trial
    if asked is not None and asked > there.cards:
        raise StartError(f"{asked:g} GPUs asked for a trial, {there.cards:g} on a node")
    if (resources.cpus_per_trial or 1) > there.cores:
        raise StartError(f"{resources.cpus_per_trial} CPUs asked for a trial, {there.cores} there")
    gpus = 0.0 if device == "cpu" else 1.0 if asked is None else asked
    if gpus:
        fitting = int(there.cards / gpus)
    else:
        fitting = there.cores // (resources.cpus_per_trial or 1)
        per_training = PROCESS_BYTES + TRAINING_COPIES * weights_bytes
        fitting = max(1, min(fitting, int(there.memory / per_training) or 1))
    each = max(1, min(resources.concurrency or fitting * there.nodes, fitting, trainings))
    concurrency = max(1, min(resources.concurrency or each * there.nodes, trainings))
    return Slots(concurrency, resources.cpus_per_trial or max(1, there.cores // each), gpus)


def remotely(function: Callable[..., Any], slots: Slots, *arguments: Any) -> Any:
    """Reference to what a function returns in a worker; one that used a GPU ends and frees it."""
    options = {"num_cpus": slots.cpus, "num_gpus": slots.gpus, "max_calls": 1 if slots.gpus else 0}
    return ray.remote(**options)(function).remote(*arguments)


def whole_node(device: str) -> Slots:
    """All cores of a node, and a GPU where it is used: for work that happens once."""
    return Slots(1, machine().cores, 0.0 if device == "cpu" else 1.0)


def tokenised(backbone: Backbone, split: Split, max_length: int) -> Any:
    """A split's tokens; runs in a worker."""
    from tune_sentiment.tokens import tokenise

    return tokenise(backbone, split.texts, split.labels, max_length)


def featurised(backbone: Backbone, tokens: Any, device: str, num_threads: int) -> Any:
    """A split's frozen features; runs in a worker."""
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
        return remotely(tokenised, Slots(1, 1, 0.0), self.backbone, self.split, self.max_length)

    @cached_property
    def features(self) -> Any:
        """Reference to ``Features``."""
        slots = whole_node(self.device)
        return remotely(featurised, slots, self.backbone, self.tokens, self.device, slots.cpus)

    def of(self, method: Method) -> Any:
        """Reference to what a method reads."""
        return self.features if method.reads_features else self.tokens
