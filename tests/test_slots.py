import pytest

from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError
from tune_sentiment.slots import MOST_PER_GPU, Machine, Room, Slots, plan_slots

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


def test_gpus_are_counted_on_the_nodes_that_have_them() -> None:
    cluster = Machine(cores=32, cards=4, memory=100 * GIB, nodes=3, gpu_nodes=2)
    slots = plan_slots(Resources(), cluster, "cuda", 100, per_gpu=5)
    assert slots == Slots(40, 1, 1 / 5)
    assert slots.per_gpu == 5
    assert plan_slots(Resources(), cluster, "cuda", 12, per_gpu=5) == Slots(12, 4, 1 / 2)


def test_any_number_of_shares_is_a_whole_gpu() -> None:
    many = Machine(cores=64, cards=1, memory=100 * GIB)
    for count in range(1, MOST_PER_GPU + 1):
        slots = plan_slots(Resources(), many, "cuda", 100, per_gpu=count)
        assert (slots.concurrency, slots.per_gpu) == (count, count)


def test_the_memory_of_the_machine_bounds_how_many_share_a_gpu() -> None:
    laptop = Machine(cores=16, cards=1, memory=11 * GIB)
    assert plan_slots(Resources(), laptop, "cuda", 100, per_gpu=16) == Slots(3, 5, 1 / 3)
    assert plan_slots(Resources(), laptop, "cuda", 100, GIB, per_gpu=16) == Slots(2, 8, 1 / 2)
    two_cards = Machine(cores=16, cards=2, memory=11 * GIB)
    assert plan_slots(Resources(), two_cards, "cuda", 100, per_gpu=16) == Slots(2, 8, 1.0)


def test_more_shares_than_cores_do_not_run() -> None:
    asked = Resources(gpus_per_trial=0.1)
    assert plan_slots(asked, GPU_BOX, "cuda", 100) == Slots(16, 1, 0.1)


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


def test_where_nodes_may_join_the_count_that_was_asked_for_bounds_alone() -> None:
    one_worker = Room(cpus=8, gpus=1, memory=GIB, trainings=4, is_open=True)
    whole = Slots(4, 8, 1.0)
    assert one_worker.fits(whole, [whole], [whole] * 2)  # two wait for machines to come
    assert not one_worker.fits(whole, [whole], [whole] * 3)
    assert one_worker.most == 4
    as_many_as_fit = Room(cpus=8, gpus=1, memory=GIB, is_open=True)
    assert not as_many_as_fit.fits(whole, [whole])
    assert as_many_as_fit.most > 1_000  # at once, if so many nodes join


def test_trainings_with_and_without_a_gpu_share_what_both_want() -> None:
    box = Room(cpus=16, gpus=2, memory=10 * GIB)
    on_gpu, on_cpu = Slots(2, 6, 1.0), Slots(16, 1, 0.0, memory=2 * GIB)
    assert box.fits(on_cpu, [on_gpu] * 2 + [on_cpu] * 3)
    assert not box.fits(on_cpu, [on_gpu] * 2 + [on_cpu] * 4)  # no core is left
    assert not box.fits(on_gpu, [on_gpu] + [on_cpu] * 5)
    assert not box.fits(on_cpu, [on_cpu] * 5)  # memory
    assert not box.fits(on_gpu, [on_gpu] * 2)
    full = Room(cpus=16, gpus=1, memory=2 * GIB)
    assert full.fits(on_gpu, [on_cpu])  # its memory is the card's


def test_what_waits_for_a_gpu_keeps_no_core_from_the_others() -> None:
    three_nodes = Room(cpus=72, gpus=2, memory=10 * GIB, nodes=3)
    whole, half, on_cpu = Slots(2, 16, 1.0), Slots(4, 8, 0.5), Slots(40, 1, 0.0)
    assert three_nodes.fits(on_cpu, [whole] * 2, [whole])  # no card is free
    assert not three_nodes.fits(on_cpu, [whole], [whole])  # one is: it waits for its cores
    assert not three_nodes.fits(half, [whole], [whole])
    assert three_nodes.fits(whole, [half], [half])
    one_left = Room(cpus=8, gpus=0, memory=10 * GIB, is_open=True)  # its only GPU node is lost
    assert one_left.fits(on_cpu, [on_cpu] * 7, [whole])
    assert not one_left.fits(on_cpu, [on_cpu] * 8, [whole])
    assert not one_left.fits(whole, [], [whole])
    assert one_left.fits(on_cpu, [Slots(2, 2, 1.0)])  # of which Ray has not said so yet


def test_half_a_card_does_not_overtake_what_waits_for_a_whole_one() -> None:
    half, whole = Slots(4, 1, 0.5), Slots(2, 1, 1.0)
    two_cards = Room(cpus=16, gpus=2, memory=0)
    assert two_cards.fits(whole, [half] * 2)  # which may be on different cards
    assert not two_cards.fits(half, [half], [whole])
    assert Room(cpus=16, gpus=1, memory=0).fits(half, [half])
