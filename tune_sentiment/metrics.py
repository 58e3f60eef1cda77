"""Every metric that is measured, searched and printed, with the direction in which it is better.

Precision, recall and F1 without ``macro`` are those of the positive class and exist for two
classes only. Names carry no split here; records and tables put ``val_`` or ``test_`` first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from tune_sentiment.errors import unknown

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Mode = Literal["max", "min"]


@dataclass(frozen=True)
class Predictions:
    """What a classifier said about one split.

    Args:
        labels: True classes, ``[items]``, from 0.
        predicted: Predicted classes, ``[items]``.
        scores: Probabilities, or decision values where there are none, ``[items, classes]``.
        probabilities: ``[items, classes]``, rows sum to 1; ``None`` if the classifier has none.
    """

    labels: Labels
    predicted: Labels
    scores: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64] | None

    @property
    def num_classes(self) -> int:
        """How many classes there are to choose from."""
        return int(self.scores.shape[1])

    @cached_property
    def by_class(self) -> dict[str, npt.NDArray[np.float64]]:
        """Precision, recall and F1 of each class, ``[classes]``; 0 where nothing is divided by."""
        from sklearn.metrics import precision_recall_fscore_support

        precision, recall, f1, _ = precision_recall_fscore_support(
            self.labels, self.predicted, labels=range(self.num_classes), zero_division=0.0
        )
        return {"precision": precision, "recall": recall, "f1": f1}


@dataclass(frozen=True)
class Metric:
    """A number worked out from predictions; ``None`` where it does not exist."""

    fn: Callable[[Predictions], float | None]
    mode: Mode
    needs_probabilities: bool = False
    needs_two_classes: bool = False


def _accuracy(p: Predictions) -> float:
    return float((p.labels == p.predicted).mean())


def _from_counts(kind: Literal["precision", "recall", "f1"], *, macro: bool) -> Metric:
    def fn(p: Predictions) -> float | None:
        if macro:
            return float(p.by_class[kind].mean())
        return float(p.by_class[kind][1]) if p.num_classes == 2 else None

    return Metric(fn, "max", needs_two_classes=not macro)


def _loss(p: Predictions) -> float | None:
    if p.probabilities is None:
        return None
    chosen = p.probabilities[np.arange(len(p.labels)), p.labels]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy, "max"),
    "precision": _from_counts("precision", macro=False),
    "recall": _from_counts("recall", macro=False),
    "f1": _from_counts("f1", macro=False),
    "macro_precision": _from_counts("precision", macro=True),
    "macro_recall": _from_counts("recall", macro=True),
    "macro_f1": _from_counts("f1", macro=True),
    "loss": Metric(_loss, "min", needs_probabilities=True),
}
SEARCHABLE = tuple(f"val_{name}" for name in METRICS)


def metric_named(name: str) -> Metric:
    """The metric behind a name such as ``val_accuracy``.

    Raises:
        UsageError: If there is no such metric on the validation split.
    """
    if name not in SEARCHABLE:
        raise unknown("metric", name, SEARCHABLE, plural="Metrics")
    return METRICS[name.removeprefix("val_")]


def softmax(scores: Scores) -> npt.NDArray[np.float64]:
    """Probabilities ``[items, classes]`` of logits of the same shape."""
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def predictions_from(scores: Scores, labels: Labels, *, has_probabilities: bool) -> Predictions:
    """Predictions from one score per class.

    Args:
        scores: ``[items, classes]``: logits, or decision values of a classifier without
            probabilities.
        labels: True classes, ``[items]``.
        has_probabilities: Whether softmax of the scores means anything.
    """
    probabilities = softmax(scores) if has_probabilities else None
    return Predictions(
        labels=labels,
        predicted=scores.argmax(axis=1).astype(np.int64),
        scores=scores.astype(np.float64) if probabilities is None else probabilities,
        probabilities=probabilities,
    )


def evaluate(predictions: Predictions, split: str) -> dict[str, float | None]:
    """Every metric of one split under its full name; ``None`` where it does not exist."""
    values = {f"{split}_{name}": metric.fn(predictions) for name, metric in METRICS.items()}
    return {k: v if v is None or math.isfinite(v) else None for k, v in values.items()}
