"""What a training takes of a GPU's memory, and how many that lets share one."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import repeat
from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.footprint import (
    BARE_CONTEXT_BYTES,
    STRAINED_BATCHES,
    Card,
    Footprint,
    cache_file,
    keep,
    kept,
    longest,
    measure,
    strain,
    trainings_on,
)
from tune_sentiment.memory import limit_memory
from tune_sentiment.slots import CONTEXT_BYTES, MOST_PER_GPU, memory_fraction
from tune_sentiment.tokens import Tokens

GB = 10**9
CARD = Card("card", 80 * GB, 80 * GB - CONTEXT_BYTES)


@pytest.mark.parametrize(
    ("reserved", "context", "expected"),
    [
        (8 * GB, CONTEXT_BYTES, 8),  # 80 GB over 1.15 * 8 + 0.31 is 8.4
        (8 * GB, 2 * GB, 7),
        (20 * GB, 0, 3),  # a context takes its least, whatever was seen
        (60 * GB, CONTEXT_BYTES, 1),
        (80 * GB, CONTEXT_BYTES, 1),
        (GB, CONTEXT_BYTES, MOST_PER_GPU),
    ],
)
def test_as_many_share_a_gpu_as_its_memory_holds_with_a_margin(
    reserved: int, context: int, expected: int
) -> None:
    assert trainings_on([CARD], Footprint(reserved, context, 80 * GB)) == expected


def test_the_smallest_gpu_decides() -> None:
    small = Card("small", 16 * GB, 15 * GB)
    footprint = Footprint(4 * GB, CONTEXT_BYTES, 80 * GB)
    assert trainings_on([CARD], footprint) == 16
    assert trainings_on([CARD, small], footprint) == trainings_on([small], footprint) == 3


def test_what_others_take_of_a_gpu_is_not_shared_out() -> None:
    footprint = Footprint(8 * GB, CONTEXT_BYTES, 80 * GB)
    taken = replace(CARD, free=CARD.free - 40 * GB)
    assert trainings_on([taken], footprint) == 4
    assert CARD.room == CARD.total  # what the looking process takes itself is no other's


@pytest.mark.parametrize("reserved", [GB, 5 * GB, 11 * GB, 33 * GB])
def test_each_may_take_what_was_measured_and_all_together_what_there_is(reserved: int) -> None:
    together = trainings_on([CARD], Footprint(reserved, CONTEXT_BYTES, CARD.total))
    assert together > 1
    allowed = memory_fraction(1 / together, CARD.total) * CARD.total
    assert allowed >= 1.15 * reserved
    assert together * (allowed + CONTEXT_BYTES) <= 1.0000001 * CARD.total


def test_a_whole_gpu_has_no_limit_and_a_sliver_keeps_half_of_itself() -> None:
    assert memory_fraction(1.0, 8 * GB) == memory_fraction(2.0, 8 * GB) == 1.0
    assert memory_fraction(0.02, 8 * GB) == 0.01
    assert memory_fraction(0.5, 8 * GB) == pytest.approx(0.5 - CONTEXT_BYTES / (8 * GB))


class Watched(Tokens):
    """Texts that note what was asked of them."""

    taken: list[tuple[list[int], str]]

    @classmethod
    def of(cls, tokens: Tokens) -> "Watched":
        made = cls(tokens.ids, tokens.offsets, tokens.labels, tokens.pad_id, tokens.max_length)
        object.__setattr__(made, "taken", [])
        return made

    def batch(self, items: Any, padding: str = "dynamic") -> Any:
        self.taken.append((sorted(self.lengths[items].tolist()), padding))
        return super().batch(items, padding)


@pytest.mark.parametrize("method", ["full", "lora", "adapters", "gradual"])
@pytest.mark.parametrize("padding", ["bucketed", "packed"])
def test_the_longest_texts_are_trained_on_and_evaluated(
    method: str, padding: str, tiny: Backbone, eight: Tokens
) -> None:
    setup = setup_for(method, tiny, padding=padding, max_epochs=9, evaluations_per_epoch=4)
    train, validation = Watched.of(eight), Watched.of(repeat(eight, 20))
    strain(setup, start_of(method, batch_size=3), 7, train, validation)
    three = sorted(eight.lengths.tolist())[-3:]
    assert train.taken == [(three, padding)] * STRAINED_BATCHES
    many = sorted(validation.lengths.tolist())[-128:]
    assert validation.taken == [(many, "dynamic")] * STRAINED_BATCHES


def gpu_that_says(monkeypatch: pytest.MonkeyPatch, **said: Any) -> None:
    """Put these answers in place of a driver's; lists are answered one after the other."""
    for name, answer in said.items():
        answers = iter(answer) if isinstance(answer, list) else itertools.repeat(answer)
        monkeypatch.setattr(torch.cuda, name, lambda *_, answers=answers: next(answers))


@pytest.mark.parametrize(
    ("free", "context"),
    [
        ([79 * GB, 68 * GB], 2 * GB - 400 * 10**6),  # 0.6 GB of the first GB, one that came later
        ([int(79.8 * GB), int(69.8 * GB)], 200 * 10**6),
        ([79 * GB, 70 * GB], BARE_CONTEXT_BYTES),  # others gave some back meanwhile
    ],
)
def test_the_context_is_what_torch_does_not_hold_and_others_did_not_have(
    free: list[int],
    context: int,
    tiny: Backbone,
    eight: Tokens,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu_that_says(
        monkeypatch,
        mem_get_info=[(left, 80 * GB) for left in free],
        memory_reserved=10 * GB,
        max_memory_reserved=12 * GB,
    )
    found = measure(setup_for("lora", tiny), start_of("lora"), 7, eight, eight)
    assert (found.reserved, found.total) == (12 * GB, 80 * GB)
    assert found.context == pytest.approx(context, abs=30 * 10**6)


def test_a_batch_that_no_card_takes_is_too_large_and_another_error_is_one(
    tiny: Backbone, eight: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Tokens):
        error: Exception = torch.OutOfMemoryError("CUDA out of memory")

        def batch(self, items: Any, padding: str = "dynamic") -> Any:
            raise self.error

    gpu_that_says(monkeypatch, mem_get_info=(79 * GB, 80 * GB))
    broken = Broken(eight.ids, eight.offsets, eight.labels, eight.pad_id, eight.max_length)
    setup, params = setup_for("lora", tiny), start_of("lora")
    assert measure(setup, params, 7, broken, eight).is_too_large
    monkeypatch.setattr(Broken, "error", RuntimeError("mat1 and mat2 shapes"))
    with pytest.raises(RuntimeError, match="mat1"):
        measure(setup, params, 7, broken, eight)


def test_each_training_sets_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    card = SimpleNamespace(total_memory=80 * GB)
    gpu_that_says(monkeypatch, current_device=0, get_device_properties=card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    for gpus in (0.5, 1.0, 0.25):  # one process, three stages
        limit_memory("cuda", gpus)
    limit_memory("cpu", 0.5)
    assert limits == [memory_fraction(gpus, 80 * GB) for gpus in (0.5, 1.0, 0.25)]


def test_the_longest_are_all_where_there_are_too_few() -> None:
    lengths = np.array([3, 9, 4])
    assert longest(lengths, 2).tolist() == [2, 1]
    assert sorted(longest(lengths, 32).tolist()) == [0, 1, 2]


def named(tiny: Backbone, eight: Tokens, **changes: Any) -> Path:
    plan = {name: changes.pop(name) for name in ("padding", "precision") if name in changes}
    setup = setup_for("lora", tiny, **plan)
    setup = replace(setup, classes=changes.pop("classes", setup.classes))
    train, card = changes.pop("train", eight), changes.pop("card", CARD)
    return cache_file(setup, start_of("lora", **changes), train, eight, card)


def test_a_measurement_is_found_again_whatever_takes_no_memory(
    tiny: Backbone, eight: Tokens
) -> None:
    first = named(tiny, eight)
    assert kept(first) is None
    keep(first, Footprint(GB, 2 * GB, 80 * GB))
    again = named(tiny, eight, lr=1e-5, warmup_ratio=0.2, card=replace(CARD, free=GB))
    assert kept(again) == Footprint(GB, 2 * GB, 80 * GB)
    first.write_text("{}")
    assert kept(first) is None
    keep(first / "below a file", Footprint(GB, 2 * GB, 80 * GB))  # measured again next time
    assert kept(first / "below a file") is None


def test_all_that_takes_memory_is_measured_for_itself(tiny: Backbone, eight: Tokens) -> None:
    longer = Tokens(eight.ids, eight.offsets[[0, 2, 4, 8]], eight.labels[:3], 0, 32)
    others = [
        named(tiny, eight, **changes)
        for changes in (
            {"batch_size": 4},
            {"rank": 32},
            {"targets": "all"},
            {"padding": "packed"},
            {"precision": "bf16"},
            {"classes": ("a", "b", "c")},
            {"train": longer},
            {"card": replace(CARD, name="another")},
        )
    ]
    assert len({named(tiny, eight), *others}) == 1 + len(others)
