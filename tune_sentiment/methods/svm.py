"""The baseline: a linear support vector machine on frozen features (Cortes and Vapnik, 1995)."""

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tune_sentiment.errors import require, unknown

if TYPE_CHECKING:
    from tune_sentiment.classifiers import LinearClassifier
    from tune_sentiment.features import Features

POOLINGS = ("cls", "mean")
MAX_ITERATIONS = 1_000  # what the lab reports allowed


@dataclass(frozen=True, kw_only=True)
class SvmHyperparameters:
    """What the linear SVM is told.

    Args:
        C: Inverse strength of the squared penalty, ``> 0``.
        pooling: Features of the first token (``cls``) or the mean over all tokens (``mean``).

    Raises:
        UsageError: If a value is out of its range.
    """

    C: float
    pooling: str

    def __post_init__(self) -> None:
        require(math.isfinite(self.C) and self.C > 0, "C > 0", self.C)
        if self.pooling not in POOLINGS:
            raise unknown("pooling", self.pooling, POOLINGS, plural="Poolings")


def fit(hyperparameters: SvmHyperparameters, train: "Features") -> "LinearClassifier":
    """Fit the scaler and the SVM on training features.

    The primal problem is solved (``dual=False``): with more texts than features it converges in a
    fraction of the dual's time.
    """
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    from tune_sentiment.classifiers import LinearClassifier

    features = train.pooled[hyperparameters.pooling]
    scaler = StandardScaler().fit(features)
    machine = LinearSVC(C=hyperparameters.C, dual=False, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        machine.fit(scaler.transform(features), train.labels)
    return LinearClassifier(
        coefficients=np.asarray(machine.coef_, dtype=np.float64),
        intercepts=np.asarray(machine.intercept_, dtype=np.float64),
        mean=np.asarray(scaler.mean_, dtype=np.float64),
        scale=np.asarray(scaler.scale_, dtype=np.float64),
        pooling=hyperparameters.pooling,
        has_converged=not any(issubclass(w.category, ConvergenceWarning) for w in caught),
        num_encoder_params=train.num_encoder_params,
    )
