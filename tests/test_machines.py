"""What a cluster's nodes can hold; no Ray runs, its list of nodes is given."""

from types import SimpleNamespace
from typing import Any

import pytest
import ray

from tune_sentiment.config import Resources
from tune_sentiment.machines import machine, room, training_nodes, unused_gpus, whole_node
from tune_sentiment.slots import Room, Slots, plan_slots

CLUSTER = Resources(address="auto")


def node(cpus: float, gpus: float = 0, memory: float = 1e11, **others: Any) -> dict[str, Any]:
    held = {"CPU": cpus, "GPU": gpus, "memory": memory}
    return {"Alive": True, "Resources": {name: has for name, has in held.items() if has}, **others}


def given(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, Any]) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: list(nodes))


def test_a_gpu_study_is_planned_for_a_node_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, node(8, 1, memory=2e10), node(64, memory=5e11))
    on_gpu, on_cpu = machine("cuda"), machine("cpu")
    assert (on_gpu.cores, on_gpu.cards, on_gpu.memory) == (8, 1, 2e10)
    assert (on_cpu.cores, on_cpu.memory, on_cpu.nodes) == (64, 5e11, 2)
    assert plan_slots(CLUSTER, on_gpu, "cuda", 20) == Slots(1, 8, 1.0)
    asked = Resources(address="auto", gpus_per_trial=1.0)
    assert plan_slots(asked, on_cpu, "cpu", 20) == Slots(20, 3, 0.0)
    assert whole_node("cuda") == Slots(1, 8, 1.0)
    assert whole_node("cpu") == Slots(1, 64, 0.0)


def test_a_plan_takes_cores_and_memory_of_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, node(16, 4, memory=1e10), node(48, 1, memory=5e11))
    there = machine("cuda")
    assert (there.cards, there.cores, there.memory, there.gpu_nodes) == (4, 16, 1e10, 2)


def test_a_head_that_runs_nothing_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {**node(64, 8), "Alive": False}
    given(monkeypatch, node(0, 2, memory=4e11, NodeID="head"), node(8, 1), node(8, 1), lost)
    assert len(training_nodes()) == 2
    there = machine("cuda")
    assert (there.cards, there.memory, there.nodes, there.gpu_nodes) == (1, 1e11, 2, 2)
    assert room(CLUSTER) == Room(16, 2, 2e11, nodes=2, is_open=True)
    given(monkeypatch, node(0, 2), node(8))
    assert machine("cuda").cards == machine("cpu").cards == room(CLUSTER).gpus == 0


def test_gpus_that_no_trial_uses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def studies(device: str) -> Any:
        return [SimpleNamespace(source=SimpleNamespace(device=device))]

    given(monkeypatch, node(8, 4), node(0, 1), node(8))
    said = unused_gpus(studies("cpu"), CLUSTER)
    assert said is not None
    assert "uses the cluster's 4 GPUs" in said
    assert "--gpus-per-trial auto --precision bf16" in said
    assert unused_gpus(studies("cuda"), CLUSTER) is None
    assert unused_gpus(studies("cpu"), Resources(address="auto", gpus_per_trial=0)) is None
    given(monkeypatch, node(8), node(0, 1))
    assert unused_gpus(studies("cpu"), CLUSTER) is None


def test_gpus_of_several_nodes_are_one_room(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, node(16, 2), node(16, 4))
    together = room(CLUSTER)
    whole = Slots(6, 2, 1.0)
    assert (together.gpus, together.nodes) == (6, 2)
    assert together.fits(whole, [whole] * 5)
    assert not together.fits(whole, [whole] * 6)


def test_a_ray_of_our_own_stays_as_large_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, node(16, 1))
    assert room(Resources(concurrency=3)) == Room(16, 1, 1e11, trainings=3)
    assert room(Resources(concurrency=3)).most == 3
    assert room(Resources()).most == 16


def test_a_cluster_without_nodes_at_the_moment_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, node(0))
    assert (machine("cuda").cards, machine("cpu").cores, room(CLUSTER).cpus) == (0, 1, 0)
