"""A study of linear SVMs and of heads as a careful person writes it, to models that can be used.

Every sentence is encoded once. Then Optuna tries both methods in one process, or Ray Tune's
``Tuner`` with ``OptunaSearch`` and ``ASHAScheduler`` on all cores; the best SVM and the best head
are fitted once more with a fresh seed and saved.
https://docs.ray.io/en/latest/tune/examples/optuna_example.html
"""

import contextlib
import json
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch

from benchmarks.peers.frozen import cached, head_accuracy, suggested, svm, svm_accuracy

Best = tuple[dict[str, Any], list[tuple[float, float]]]  # its parameters, and when each score came
METHODS = ("svm", "freeze")


def tell_tune(accuracy: float) -> None:
    """Report an accuracy to Ray Tune."""
    from ray import tune

    tune.report({"accuracy": accuracy})


def with_optuna(
    method: str, asked: dict[str, Any], score: Callable[[dict[str, Any]], float]
) -> Best:
    """One study in this process."""
    ended: list[tuple[float, float]] = []

    def objective(trial: optuna.Trial) -> float:
        ended.append((time.time(), score({"pooling": "cls", **suggested(trial, method)})))
        return ended[-1][1]

    sampler = optuna.samplers.TPESampler(seed=asked["seed"])
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=asked["trials"])
    return {"pooling": "cls", **study.best_params}, ended


def with_tune(
    method: str, asked: dict[str, Any], score: Callable[[dict[str, Any]], float], folder: str
) -> Best:
    """One run of a ``Tuner``; a head reports each epoch, an SVM once."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    spaces = {
        "svm": {"C": tune.loguniform(1e-4, 1e2), "pooling": tune.choice(["cls", "mean"])},
        "freeze": {
            "lr": tune.loguniform(2e-5, 1e-2),
            "batch_size": tune.choice([16, 32, 64, 128]),
            "warmup_ratio": tune.uniform(0.0, 0.2),
            "weight_decay": tune.loguniform(1e-4, 1e-1),
        },
    }

    def trial(config: dict[str, Any], score: Any) -> None:
        torch.set_num_threads(1)
        score(config)

    if not ray.is_initialized():
        ray.init(address="local", include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_parameters(trial, score=score),
        param_space=spaces[method],
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=asked["trials"],
            search_alg=OptunaSearch(seed=asked["seed"]),
            scheduler=ASHAScheduler(max_t=asked["max_epochs"]),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    results = tuner.fit()
    ended = [(each.metrics["timestamp"], each.metrics["accuracy"]) for each in results]
    return {"pooling": "cls", **results.get_best_result(scope="all").config}, ended


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds since the process began to each trial's end, with its score, and to both models."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train, validation, head = cached(asked)
    with tempfile.TemporaryDirectory() as folder:
        search: Callable[..., Best] = with_optuna
        told: dict[str, Any] = {}
        if asked["kind"] == "tune":
            search, told = partial(with_tune, folder=folder), {"report": tell_tune}
        data: dict[str, Any] = {"train": train, "validation": validation}
        of_head = {**data, "epochs": asked["max_epochs"]}
        scores = {
            "svm": partial(svm_accuracy, **data, **told),
            "freeze": partial(head_accuracy, **of_head, head=head, seed=asked["seed"], **told),
        }
        found = {method: search(method, asked, scores[method]) for method in METHODS}
        Path(folder, "svm.pickle").write_bytes(pickle.dumps(svm(found["svm"][0], train)))
        kept = head()
        head_accuracy(found["freeze"][0], **of_head, head=lambda: kept, seed=asked["seed"] + 1)
        torch.save([part.state_dict() for part in kept], f"{folder}/head.pt")
    model = time.time() - asked["started"]
    ended = sorted(each for _, trials in found.values() for each in trials)
    return {"evaluations": [[at - asked["started"], score] for at, score in ended], "model": model}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        made = main(json.loads(sys.argv[1]))
    print(json.dumps(made))
