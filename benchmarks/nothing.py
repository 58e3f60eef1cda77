"""A method that does nothing for a while, for measuring what stands around a trial.

Importing this file puts its row into METHODS; workers import it with the inputs that they are
given.
"""

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from tune_sentiment.classifiers import LinearClassifier
from tune_sentiment.errors import require
from tune_sentiment.features import Features
from tune_sentiment.methods import METHODS, Method

NAME = "nothing"


@dataclass(frozen=True, kw_only=True)
class NothingHyperparameters:
    """What a trial of nothing is told.

    Args:
        x: Any number; it changes nothing.
        seconds: How long a trial lasts, ``>= 0``.

    Raises:
        UsageError: If a value is out of its range.
    """

    x: float
    seconds: float

    def __post_init__(self) -> None:
        require(self.seconds >= 0, "seconds >= 0", self.seconds)


class NoFeatures(Features):
    """Two sentences with a feature each."""

    @classmethod
    def make(cls) -> "NoFeatures":
        """The only ones there are."""
        return cls({"cls": np.array([[-1.0], [1.0]], np.float32)}, np.array([0, 1]), 0.0, 0)


def fit(hyperparameters: Any, train: Features) -> LinearClassifier:
    """Wait, in a process that has loaded what real trials load."""
    for library in ("peft", "sklearn.svm", "transformers"):
        import_module(library)
    time.sleep(hyperparameters.seconds)
    one = np.ones(1)
    return LinearClassifier(one[None], one * 0, one * 0, one, "cls", True, 0)


METHODS[NAME] = Method(
    hyperparameters=NothingHyperparameters, fit=fit, reads_features=True, is_plain=False
)
