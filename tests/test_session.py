"""What workers share through the object store."""

import os

import numpy as np
import psutil
import pytest
import ray

from tune_sentiment.config import Resources
from tune_sentiment.features import Features
from tune_sentiment.session import once, ray_session
from tune_sentiment.slots import Slots

pytestmark = pytest.mark.slow
MOST_COPIED = 0.05  # of what is shared


def read(held: list["ray.ObjectRef[Features]"]) -> tuple[float, int]:
    """The sum of all features, and by how many bytes of its own the reading process grew."""
    before = psutil.Process().memory_full_info().uss
    features = ray.get(held[0])
    total = float(features.pooled["cls"].sum())
    return total, psutil.Process().memory_full_info().uss - before


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


def test_what_runs_once_runs_here_or_where_the_cluster_has_cores() -> None:
    with ray_session(Resources()):
        here, there = Resources(), Resources(address="auto")
        slots = Slots(concurrency=1, cpus=1, gpus=0.0)
        asked = slots, ray.put(1), 2
        assert once(here, where, *asked) == (os.getpid(), 3)
        worker, total = once(there, where, *asked)
        assert (worker != os.getpid(), total) == (True, 3)
