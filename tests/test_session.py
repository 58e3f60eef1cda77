"""What workers share through the object store."""

import numpy as np
import psutil
import pytest
import ray

from tune_sentiment.config import Resources
from tune_sentiment.features import Features
from tune_sentiment.session import ray_session

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
