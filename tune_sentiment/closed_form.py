"""The other way to train: methods that solve for their classifier have one evaluation."""

import time
from collections.abc import Callable, Generator
from importlib import import_module
from typing import Any

from tune_sentiment.classifiers import LinearClassifier
from tune_sentiment.evaluation import Evaluation
from tune_sentiment.features import Features
from tune_sentiment.metrics import evaluate, predictions_from


def fit_closed_form(
    solve: Callable[[Any, Features], LinearClassifier],
    hyperparameters: Any,
    train: Features,
    validation: Features,
) -> Generator[Evaluation, None, None]:
    """Fit a method that has no epochs, and yield its one evaluation."""
    import_module("sklearn.svm")  # loading a library is not training
    started = time.perf_counter()
    classifier = solve(hyperparameters, train)
    fitted = time.perf_counter()
    scores = classifier.scores(validation)
    found = predictions_from(scores, validation.labels, has_probabilities=False)
    metrics = evaluate(found, "val")
    yield Evaluation(
        evaluation=1,
        status="finished",
        epoch=1.0,
        metrics=metrics,
        train_loss=None,
        train_loss_curve=[],
        train_seconds=fitted - started,
        eval_seconds=time.perf_counter() - fitted,
        samples=len(train),
        steps=0,
        classifier=classifier,
        converged=classifier.has_converged,
    )
