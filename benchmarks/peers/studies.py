"""A study of LoRA as users of transformers and of Ray Tune make one, to a model that can be used.

``hyperparameter_search`` with Optuna or Ray, as
https://huggingface.co/docs/transformers/hpo_train shows it, and the best configuration trained once
more, since it keeps no model; and Ray Tune's ``Tuner`` with ``OptunaSearch`` and ``ASHAScheduler``
around the same Trainer, which reports a checkpoint with each evaluation, so that the best is there.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.corpus import texts
from benchmarks.peers.trainer import model_for, tokenised
from tune_sentiment.backbone import Backbone, load_backbone

SCORE = "eval_accuracy"
LOWEST, HIGHEST = 1e-5, 3e-3  # of the learning rate, as in our space


class Clock(TrainerCallback):
    """Writes down when an evaluation ended, and its score; it runs in other processes, too."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([time.time(), kwargs["metrics"][SCORE]]) + "\n")


class Report(TrainerCallback):
    """Reports each evaluation and the model to Ray Tune."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report."""
        from ray import tune

        with tempfile.TemporaryDirectory() as folder:
            kwargs["model"].save_pretrained(folder)
            checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({SCORE: kwargs["metrics"][SCORE]}, checkpoint=checkpoint)


def accuracy(found: Any) -> dict[str, float]:
    """The share of texts whose class is right."""
    return {"accuracy": float((np.argmax(found.predictions, 1) == found.label_ids).mean())}


@dataclass(frozen=True)
class Data:
    """What is tokenised once for all trials."""

    backbone: Backbone
    train: Dataset
    validation: Dataset

    @classmethod
    def of(cls, asked: dict[str, Any]) -> "Data":
        """The sentences that were asked for."""
        backbone = load_backbone(asked["model"])
        splits = texts(asked["dataset"], asked["train_samples"], asked["seed"])
        return cls(backbone, *(tokenised(backbone, split, None) for split in splits))


def trainer_for(asked: dict[str, Any], data: Data, folder: str, **changes: Any) -> Trainer:
    """The Trainer of one side; ``changes`` are more of its arguments."""
    settings: dict[str, Any] = {
        "output_dir": folder,
        "num_train_epochs": asked["max_epochs"],
        "per_device_train_batch_size": asked["params"]["batch_size"],
        "per_device_eval_batch_size": 64,
        "weight_decay": asked["params"]["weight_decay"],
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "seed": asked["seed"],
        "use_cpu": asked["device"] == "cpu",
        "bf16": asked["device"] != "cpu",
    }
    return Trainer(
        model_init=lambda _=None: model_for(data.backbone, "lora", asked["params"]),
        args=TrainingArguments(**{**settings, **changes}),
        train_dataset=data.train,
        eval_dataset=data.validation,
        data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(data.backbone.folder)),
        compute_metrics=accuracy,
        callbacks=[Clock(asked["clock"])],
    )


def optunas_space(trial: optuna.Trial) -> dict[str, Any]:
    """The learning rate, as Optuna's backend asks for it."""
    return {"learning_rate": trial.suggest_float("learning_rate", LOWEST, HIGHEST, log=True)}


def rays_space(_: Any) -> dict[str, Any]:
    """The learning rate, as Ray's backend asks for it."""
    from ray import tune

    return {"learning_rate": tune.loguniform(LOWEST, HIGHEST)}


SPACES = {"optuna": optunas_space, "ray": rays_space}


def with_transformers(asked: dict[str, Any], backend: str, folder: str) -> None:
    """``hyperparameter_search``, then the best once more."""
    trainer = trainer_for(asked, Data.of(asked), folder)
    more: dict[str, Any] = {"sampler": optuna.samplers.TPESampler(seed=asked["seed"])}
    if backend == "ray":
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        named = {"metric": "objective", "mode": "max"}
        scheduler = ASHAScheduler(**named, max_t=asked["max_epochs"])
        search = OptunaSearch(**named, seed=asked["seed"])
        more = {"search_alg": search, "scheduler": scheduler, "storage_path": folder, "verbose": 0}
    best = trainer.hyperparameter_search(
        hp_space=SPACES[backend],
        compute_objective=lambda metrics: metrics[SCORE],
        backend=backend,
        n_trials=asked["trials"],
        direction="maximize",
        **more,
    )
    trainer.args.learning_rate = best.hyperparameters["learning_rate"]
    trainer.train()
    trainer.save_model(f"{folder}/best")


def with_tune(asked: dict[str, Any], folder: str) -> None:
    """Ray Tune's ``Tuner``; its best checkpoint is the model."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def trial(config: dict[str, float], data: Data) -> None:
        with tempfile.TemporaryDirectory() as own:
            trainer = trainer_for(asked, data, own, learning_rate=config["learning_rate"])
            trainer.add_callback(Report())
            trainer.train()

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(trial, data=Data.of(asked)),
            {"cpu": 1} if asked["device"] == "cpu" else {"cpu": 1, "gpu": 1},
        ),
        param_space={"learning_rate": tune.loguniform(LOWEST, HIGHEST)},
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode="max",
            num_samples=asked["trials"],
            search_alg=OptunaSearch(seed=asked["seed"]),
            scheduler=ASHAScheduler(max_t=asked["max_epochs"]),
        ),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    best = tuner.fit().get_best_result(scope="all").get_best_checkpoint(SCORE, "max")
    if best is None:
        raise RuntimeError("no trial left a checkpoint")


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds since the process began to each evaluation, with its score, and to the model."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        asked["clock"] = f"{folder}/clock.jsonl"
        if asked["kind"] == "tune":
            with_tune(asked, folder)
        else:
            with_transformers(asked, asked["kind"], folder)
        model = time.time() - asked["started"]
        lines = Path(asked["clock"]).read_text(encoding="utf-8").splitlines()
    found = sorted(json.loads(line) for line in lines)
    evaluations = [[at - asked["started"], score] for at, score in found]
    return {"evaluations": evaluations, "model": model}


if __name__ == "__main__":
    made = main(json.loads(sys.argv[1]))
    print(json.dumps(made))
