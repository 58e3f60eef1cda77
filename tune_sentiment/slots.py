"""How cores, GPUs and memory are shared out among trainings that run at once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError

PROCESS_BYTES = 1 << 30  # a worker with its libraries, before any model
GPU_PROCESS_BYTES = 3 << 30  # one with CUDA's, of the machine's own memory
GPU_MARGIN = 0.15  # of what was measured: other batches leave other gaps between tensors
CONTEXT_BYTES = 300 << 20  # CUDA's own part of each process at least, outside torch's allocator
MOST_TRAININGS = 10_000  # at once, where nodes may join without end: Ray Tune wants a number
MOST_PER_GPU = 16  # trainings: more processes wait for each other and gain nothing
TRAINING_COPIES = 5  # weights, gradients, AdamW's two moments, and room for activations
ROUNDING = 1e-6  # three thirds of a GPU are one


@dataclass(frozen=True)
class Slots:
    """How many trainings run at once, and what each gets.

    Args:
        concurrency: Trainings at a time.
        cpus: CPU threads of each.
        gpus: GPUs of each.
        memory: Bytes that each is expected to take on a CPU; 0 where that bounds nothing.
    """

    concurrency: int
    cpus: int
    gpus: float
    memory: float = field(default=0.0, compare=False)

    @property
    def per_gpu(self) -> int:
        """Trainings that share a GPU."""
        return int(1 / self.gpus) if 0 < self.gpus < 1 else 1

    @property
    def in_turn(self) -> int:
        """Trainings at a time for a forecast: what shares a GPU may have to wait for it."""
        return max(1, self.concurrency // self.per_gpu)

    @property
    def unshared(self) -> "Slots":
        """The same with a GPU to itself instead of a share."""
        return replace(self, gpus=1.0) if 0 < self.gpus < 1 else self


@dataclass(frozen=True)
class Machine:
    """What one node of the cluster has, the one with the most.

    Args:
        cores: CPU cores of that node.
        cards: GPUs of that node.
        memory: Bytes for workers on that node.
        nodes: How many nodes there are.
        gpu_nodes: How many of them have GPUs.
    """

    cores: int
    cards: float
    memory: float
    nodes: int = 1
    gpu_nodes: int = 1


@dataclass(frozen=True)
class Room:
    """What the trainings of one run share, of whatever size each is.

    Args:
        cpus: CPU cores of all nodes.
        gpus: GPUs of all nodes.
        memory: Bytes for workers on all nodes.
        trainings: How many may run at once; ``None`` for as many as fit.
        nodes: How many nodes there are.
        is_open: Whether nodes may join. How many trainings were asked for then bounds alone: those
            that wait are what an autoscaler brings machines for.
    """

    cpus: float
    gpus: float
    memory: float
    trainings: int | None = None
    nodes: int = 1
    is_open: bool = False

    @property
    def most(self) -> int:
        """The most trainings that can ever run at once: each takes a core at least."""
        if self.is_open:
            return self.trainings or MOST_TRAININGS
        return max(1, min(int(self.cpus), self.trainings or int(self.cpus)))

    def fits(self, slots: Slots, running: Iterable[Slots], waiting: Iterable[Slots] = ()) -> bool:
        """Whether one more training may begin beside the others; alone each may.

        What waits for a GPU takes no cores meanwhile.

        Args:
            slots: What it would get.
            running: What those have that run.
            waiting: What those will have that wait until Ray finds a node for them.
        """
        taken, queued = list(running), list(waiting)
        if not taken and not queued:
            return True
        if self.trainings is not None and len(taken) + len(queued) >= self.trainings:
            return False
        free = self.gpus - sum(each.gpus for each in taken) + ROUNDING
        for_cores = [each for each in queued if each.gpus <= free]
        if self._overtakes(slots, queued, for_cores):
            return False
        if self.is_open and self.trainings is not None:
            return True
        beside = [*taken, *(queued if slots.gpus else for_cores), slots]
        return all(
            sum(getattr(each, name) for each in beside) <= getattr(self, name) + ROUNDING
            for name in ("cpus", "gpus", "memory")
            if getattr(slots, name)
        )

    def _overtakes(self, slots: Slots, queued: Iterable[Slots], for_cores: Iterable[Slots]) -> bool:
        """Whether a training would take each core or share of a GPU as a larger one waits for it.

        On one node with one GPU at most nothing that fits has to wait.
        """
        if self.nodes == 1 and self.gpus <= 1 and not self.is_open:
            return False
        wants_gpu = slots.gpus > 0 and any(each.gpus > slots.gpus for each in queued)
        return wants_gpu or any(each.cpus > slots.cpus for each in for_cores)


def plan_slots(
    resources: Resources,
    there: Machine,
    device: str,
    trainings: int,
    weights_bytes: int = 0,
    per_gpu: int = 1,
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
        per_gpu: Trainings that have room on a GPU, where nothing else is asked for.

    Raises:
        StartError: If more is asked for than there is.
    """
    asked = resources.gpus_per_trial
    if asked is not None and asked > there.cards:
        raise StartError(f"{asked:g} GPUs asked for a trial, {there.cards:g} on a node")
    if (resources.cpus_per_trial or 1) > there.cores:
        raise StartError(f"{resources.cpus_per_trial} CPUs asked for a trial, {there.cores} there")
    gpus = 0.0 if device == "cpu" else asked
    if gpus is None:
        processes = int(there.memory / (GPU_PROCESS_BYTES + weights_bytes))
        gpus = 1 / _sharing(resources, there, trainings, per_gpu, processes)
    if gpus > there.cards:  # of this machine's card, where the cluster's nodes have none
        raise StartError(f"{gpus:g} GPUs needed for a trial, {there.cards:g} on a node")
    nodes = there.gpu_nodes if gpus else there.nodes
    fitting = there.cores // (resources.cpus_per_trial or 1)
    per_training = 0.0
    if gpus:
        fitting = min(fitting, int(there.cards / gpus))
    else:
        per_training = PROCESS_BYTES + TRAINING_COPIES * weights_bytes
        fitting = max(1, min(fitting, int(there.memory / per_training) or 1))
    each = max(1, min(resources.concurrency or fitting * nodes, fitting, trainings))
    concurrency = max(1, min(resources.concurrency or each * nodes, trainings))
    cpus = resources.cpus_per_trial or max(1, there.cores // each)
    return Slots(concurrency, cpus, gpus, per_training)


def _sharing(
    resources: Resources, there: Machine, trainings: int, per_gpu: int, processes: int
) -> int:
    """Trainings that share a GPU: what has room and cores, spread over all the cards there are.

    Ray fills one card before it takes the next, so few trainings get larger shares.
    """
    cards = max(1, int(there.cards))
    processes = min(processes, there.cores // (resources.cpus_per_trial or 1))
    at_once = min(trainings, resources.concurrency or trainings)
    return max(1, min(per_gpu, processes // cards, math.ceil(at_once / (cards * there.gpu_nodes))))


def memory_fraction(gpus: float, total: int) -> float:
    """The share of a card that torch's allocator may hold in a training's process.

    Args:
        gpus: The training's share of a GPU.
        total: Bytes of the card.
    """
    if gpus >= 1:
        return 1.0
    return max(gpus - CONTEXT_BYTES / total, gpus / 2)
