import math

import numpy as np
import pytest

from tune_sentiment.errors import UsageError
from tune_sentiment.metrics import METRICS, evaluate, metric_named, predictions_from

LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0])
PREDICTED = np.array([1, 1, 0, 1, 0, 0, 0, 0])  # 2 true, 1 false positive; 1 false, 4 true negative


def scores_for(predicted: np.ndarray, classes: int = 2) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[predicted]


def test_every_metric_has_its_hand_worked_value() -> None:
    found = evaluate(predictions_from(scores_for(PREDICTED), LABELS, has_probabilities=True), "val")
    right, wrong = math.exp(1) / (1 + math.exp(1)), 1 / (1 + math.exp(1))
    expected = {
        "val_accuracy": 6 / 8,
        "val_precision": 2 / 3,
        "val_recall": 2 / 3,
        "val_f1": 2 / 3,
        "val_macro_precision": (2 / 3 + 4 / 5) / 2,
        "val_macro_recall": (2 / 3 + 4 / 5) / 2,
        "val_macro_f1": (2 / 3 + 4 / 5) / 2,
        "val_loss": -(6 * math.log(right) + 2 * math.log(wrong)) / 8,
    }
    assert set(expected) == {f"val_{name}" for name in METRICS}
    assert found == pytest.approx(expected)


def test_the_order_of_rows_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(len(LABELS))
    scores = scores_for(PREDICTED)
    whole = evaluate(predictions_from(scores, LABELS, has_probabilities=True), "test")
    mixed = evaluate(predictions_from(scores[order], LABELS[order], has_probabilities=True), "test")
    assert mixed == pytest.approx(whole)


def test_three_classes_have_macro_metrics_only() -> None:
    labels, predicted = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 2])
    found = evaluate(
        predictions_from(scores_for(predicted, 3), labels, has_probabilities=True), "val"
    )
    assert (found["val_precision"], found["val_recall"], found["val_f1"]) == (None, None, None)
    assert found["val_macro_recall"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["val_macro_precision"] == pytest.approx((1 + 0 + 2 / 3) / 3)


def test_a_classifier_without_probabilities_has_no_loss() -> None:
    made = predictions_from(scores_for(PREDICTED), LABELS, has_probabilities=False)
    assert evaluate(made, "val")["val_loss"] is None
    assert evaluate(made, "val")["val_accuracy"] == 0.75


def test_a_confident_mistake_has_a_finite_loss() -> None:
    scores = np.array([[1000.0, -1000.0]], dtype=np.float32)
    made = predictions_from(scores, np.array([1]), has_probabilities=True)
    loss = evaluate(made, "val")["val_loss"]
    assert loss is not None
    assert loss > 100


@pytest.mark.parametrize("name", ["accuracy", "val_accurracy", "test_accuracy", ""])
def test_an_unknown_metric_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="val_accuracy"):
        metric_named(name)
