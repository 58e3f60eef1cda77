import pytest

from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError
from tune_sentiment.slots import Machine, Room, Slots, plan_slots

GIB = 1 << 30
LAPTOP = Machine(cores=2, cards=0, memory=16 * GIB)
SERVER = Machine(cores=16, cards=0, memory=100 * GIB)
GPU_BOX = Machine(cores=16, cards=2, memory=100 * GIB)


@pytest.mark.parametrize(
    ("machine", "device", "asked", "trainings", "expected"),
    [
        (LAPTOP, "cpu", {}, 20, Slots(2, 1, 0.0)),
        (LAPTOP, "cpu", {}, 1, Slots(1, 2, 0.0)),
        (LAPTOP, "cpu", {"concurrency": 1}, 20, Slots(1, 2, 0.0)),
        (SERVER, "cpu", {}, 20, Slots(16, 1, 0.0)),
        (SERVER, "cpu", {}, 5, Slots(5, 3, 0.0)),
        (SERVER, "cpu", {"cpus_per_trial": 4}, 20, Slots(4, 4, 0.0)),
        (GPU_BOX, "cuda", {}, 20, Slots(2, 8, 1.0)),
        (GPU_BOX, "cuda", {"gpus_per_trial": 0.5}, 20, Slots(4, 4, 0.5)),
        (GPU_BOX, "cuda", {"gpus_per_trial": 2.0}, 20, Slots(1, 16, 2.0)),
        (GPU_BOX, "cpu", {"gpus_per_trial": 0.5}, 20, Slots(16, 1, 0.0)),
    ],
)
def test_cores_and_gpus_are_shared_out(
    machine: Machine, device: str, asked: dict[str, float], trainings: int, expected: Slots
) -> None:
    resources = Resources(**asked)  # type: ignore[arg-type]
    assert plan_slots(resources, machine, device, trainings) == expected


def test_memory_bounds_how_many_run_at_once() -> None:
    small = Machine(cores=16, cards=0, memory=8 * GIB)
    assert plan_slots(Resources(), small, "cpu", 20, weights_bytes=GIB // 5) == Slots(4, 4, 0.0)


def test_several_nodes_run_what_each_of_them_can() -> None:
    cluster = Machine(cores=8, cards=0, memory=100 * GIB, nodes=3)
    assert plan_slots(Resources(), cluster, "cpu", 100) == Slots(24, 1, 0.0)
    assert plan_slots(Resources(concurrency=6), cluster, "cpu", 100) == Slots(6, 1, 0.0)


@pytest.mark.parametrize("asked", [{"gpus_per_trial": 1.0}, {"cpus_per_trial": 3}])
def test_more_than_there_is_cannot_start(asked: dict[str, float]) -> None:
    with pytest.raises(StartError, match="asked for a trial"):
        plan_slots(Resources(**asked), LAPTOP, "cpu", 1)  # type: ignore[arg-type]


def test_what_fits_is_bounded_by_cores_gpus_memory_and_what_was_asked_for() -> None:
    box = Room(cpus=16, gpus=1, memory=10 * GIB)
    small, large = Slots(16, 1, 0.0, memory=GIB), Slots(2, 2, 0.0, memory=6 * GIB)
    third = Slots(3, 4, 1 / 3)
    assert box.fits(small, [large, *[small] * 3])
    assert not box.fits(large, [large])  # 12 of 10 GiB
    assert not box.fits(small, [small] * 16)
    assert box.fits(third, [third] * 2)  # three thirds are one, whatever their sum
    assert not box.fits(third, [third] * 3)
    assert not box.fits(Slots(1, 16, 0.0), [small])
    assert Room(cpus=1, gpus=0, memory=0).fits(large, [])  # alone each does
    asked = Room(cpus=16, gpus=0, memory=10 * GIB, trainings=2)
    assert (asked.most, box.most) == (2, 16)
    assert not asked.fits(small, [small] * 2)


def test_memory_is_planned_for_where_it_bounds() -> None:
    on_cpu = plan_slots(Resources(), SERVER, "cpu", 20, weights_bytes=GIB)
    assert on_cpu.memory == 6 * GIB
    assert plan_slots(Resources(), GPU_BOX, "cuda", 20, weights_bytes=GIB).memory == 0
