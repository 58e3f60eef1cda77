"""What a training yields each time it has looked at validation."""

from dataclasses import dataclass

from tune_sentiment.classifiers import Classifier


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One pass over validation inside a trial, and what led to it.

    Args:
        evaluation: Counted from 1.
        status: ``running``, ``finished`` (the last that was planned) or ``diverged``.
        epoch: Epochs trained so far.
        metrics: ``val_`` metrics by full name; empty when diverged.
        train_loss: Mean training loss since the evaluation before; ``None`` without a loss.
        train_loss_curve: Means over up to 20 equal parts of that stretch.
        train_seconds: Spent in training steps so far.
        eval_seconds: Spent in evaluations so far.
        samples: Sentences trained on so far, repetitions counted.
        steps: Optimizer steps so far.
        classifier: The classifier as it is now; ``None`` when diverged.
        converged: Whether a closed-form solver met its tolerance; ``None`` for the others.
    """

    evaluation: int
    status: str
    epoch: float
    metrics: dict[str, float | None]
    train_loss: float | None
    train_loss_curve: list[float]
    train_seconds: float
    eval_seconds: float
    samples: int
    steps: int
    classifier: Classifier | None
    converged: bool | None = None
