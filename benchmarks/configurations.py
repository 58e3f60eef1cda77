"""The 64 configurations of the frozen sweep, drawn once from the product's own two spaces."""

from typing import Any

import numpy as np

SEED = 7


def svm_configurations(count: int) -> list[dict[str, Any]]:
    """C log-uniform, both poolings."""
    random = np.random.default_rng(SEED)
    return [
        {"C": float(10 ** random.uniform(-4, 2)), "pooling": ("cls", "mean")[i % 2]}
        for i in range(count)
    ]


def freeze_configurations(count: int) -> list[dict[str, Any]]:
    """Learning rate log-uniform, four batch sizes, a little warm-up and decay."""
    random = np.random.default_rng(SEED)
    return [
        {
            "lr": float(10 ** random.uniform(-4.5, -2)),
            "batch_size": (16, 32, 64, 128)[i % 4],
            "warmup_ratio": float(random.uniform(0, 0.2)),
            "weight_decay": float(10 ** random.uniform(-4, -1)),
        }
        for i in range(count)
    ]
