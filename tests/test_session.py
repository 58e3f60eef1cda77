"""What workers share through the object store, and what is made for it here."""

import gc
import os
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray

from tests.conftest import BAD, GOOD
from tune_sentiment.backbone import Backbone
from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError
from tune_sentiment.features import Features, _cache_file
from tune_sentiment.session import SharedInputs, ray_session, run_once, runs_here
from tune_sentiment.slots import Slots
from tune_sentiment.splits import Split
from tune_sentiment.tokens import Tokens

MOST_COPIED = 0.05  # of what is shared
ONE_CORE = Slots(concurrency=1, cpus=1, gpus=0.0)
NODE = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 8e9}}


def read(held: list["ray.ObjectRef[Features]"]) -> tuple[float, int]:
    """The sum of all features, and by how many bytes of its own the reading process grew."""
    before = psutil.Process().memory_full_info().uss
    features = ray.get(held[0])
    total = float(features.pooled["cls"].sum())
    return total, psutil.Process().memory_full_info().uss - before


@pytest.mark.slow
def test_workers_read_features_without_a_copy_of_their_own() -> None:
    states = np.ones((100_000, 384), np.float32)
    features = Features({"cls": states}, np.zeros(len(states), np.int64), 0.0, 0)
    with ray_session(Resources()):
        reference = ray.put(features)
        for total, grown in ray.get([ray.remote(read).remote([reference]) for _ in range(2)]):
            assert total == states.size
            assert grown < MOST_COPIED * states.nbytes


def where(one: int, other: int) -> tuple[int, int]:
    """The process that this runs in, and a sum."""
    return os.getpid(), one + other


@pytest.mark.slow
def test_what_runs_once_runs_here_or_where_the_cluster_has_cores() -> None:
    with ray_session(Resources()):
        here, there = Resources(), Resources(address="auto")
        asked = where, ONE_CORE, ray.put(1), 2
        assert run_once(here, *asked) == (os.getpid(), 3)
        worker, total = run_once(there, *asked)
        assert (worker != os.getpid(), total) == (True, 3)


def test_what_needs_a_gpu_or_joins_a_cluster_runs_in_a_worker() -> None:
    assert runs_here(Resources(), ONE_CORE)
    assert not runs_here(Resources(), replace(ONE_CORE, gpus=0.5))
    assert not runs_here(Resources(address="auto"), ONE_CORE)


class Model:
    """One that refers to itself, as models and what hooks into them do."""

    def __init__(self) -> None:
        self.hook = self


def test_nothing_stays_of_a_model_that_was_used_once() -> None:
    gc.disable()
    try:
        left = run_once(Resources(), lambda: weakref.ref(Model()), ONE_CORE)
        assert left() is None
    finally:
        gc.enable()


def test_features_that_cannot_be_kept_say_why(
    tiny: Backbone, eight: Tokens, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNE_SENTIMENT_CACHE", str(tmp_path))
    monkeypatch.setattr(ray, "nodes", lambda: [NODE])
    monkeypatch.setattr(ray, "put", lambda value: value)
    _cache_file(tiny, eight).mkdir()
    inputs = SharedInputs(tiny, Split(GOOD + BAD, eight.labels), 32, "cpu", Resources())
    with pytest.raises(StartError, match="the inputs cannot be made: IsADirectoryError: "):
        _ = inputs.features
