"""What the running Ray has: the nodes that take trainings, and what they can hold."""

from collections.abc import Iterable
from typing import Any

import ray

from tune_sentiment.config import Resources
from tune_sentiment.cost import Hardware
from tune_sentiment.slots import Machine, Room, Slots
from tune_sentiment.study import Study


def training_nodes() -> list[dict[str, Any]]:
    """The nodes that take trainings: each needs a core, which a head may give to nobody."""
    return [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) > 0]


def known_nodes() -> dict[str, bool]:
    """Every node that the running Ray has ever had, and whether it is there."""
    return {node["NodeID"]: bool(node["Alive"]) for node in ray.nodes()}


def machine(device: str) -> Machine:
    """The largest node for trainings on a device: none spans two.

    Args:
        device: Where they run, ``cpu`` or ``cuda``: one that needs a GPU has only the cores and the
            memory beside it.
    """
    nodes = [node["Resources"] for node in training_nodes()]
    with_gpus = [node for node in nodes if node.get("GPU", 0) > 0]
    wanted = ("CPU", "memory") if device == "cpu" else ("GPU", "CPU", "memory")
    largest: dict[str, float] = max(
        nodes,
        key=lambda node: [float(node.get(name, 0)) for name in wanted],
        default={},
    )
    return Machine(
        cores=max(1, int(largest.get("CPU", 0))),
        cards=max((float(node["GPU"]) for node in with_gpus), default=0.0),
        memory=float(largest.get("memory", 0)),
        nodes=len(nodes),
        gpu_nodes=max(1, len(with_gpus)),
    )


def room(resources: Resources) -> Room:
    """What all nodes of the running Ray have together.

    Args:
        resources: What was asked for.
    """
    nodes = [node["Resources"] for node in training_nodes()]
    cpus, gpus, memory = (
        sum(float(node.get(name, 0)) for node in nodes) for name in ("CPU", "GPU", "memory")
    )
    is_open = resources.is_cluster
    return Room(cpus, gpus, memory, resources.concurrency, len(nodes), is_open)


def hardware(resources: Resources) -> Hardware:
    """What the running Ray's trainings have together, as forecasts name it."""
    if not resources.is_cluster:
        return Hardware.here()
    there = room(resources)
    return Hardware("this cluster", int(there.cpus), there.gpus)


def unused_gpus(studies: Iterable[Study], resources: Resources) -> str | None:
    """A warning where nodes have GPUs and nothing of a command runs on them unasked."""
    count = sum(node["Resources"].get("GPU", 0) for node in training_nodes())
    is_used = resources.gpus_per_trial is not None or any(s.source.device != "cpu" for s in studies)
    if not count or is_used:
        return None
    return (
        f"warning: no trial uses the cluster's {count:g} GPUs, which this machine cannot know; "
        "with --gpus-per-trial auto --precision bf16 (or fp16) they do, as other studies"
    )


def whole_node(device: str) -> Slots:
    """All cores of a node, and a GPU where it is used: for work that happens once."""
    return Slots(1, machine(device).cores, 0.0 if device == "cpu" else 1.0)
