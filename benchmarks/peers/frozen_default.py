"""The default peer of the frozen sweep: transformers' own hyperparameter search, nothing cached.

``Trainer.hyperparameter_search(backend="optuna")`` over a model whose encoder is frozen, as
https://huggingface.co/docs/transformers/hpo_train shows it: the encoder runs again in every epoch
of every trial. Only a prefix of the sweep is run, one epoch with the smallest batch size and one
with the largest, and multiplied.
"""

import json
import sys
import tempfile
import time
from functools import partial
from typing import Any

import numpy as np
import optuna
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from benchmarks.corpus import corpus
from benchmarks.peers.trainer import model_for, tokenised


def main(asked: dict[str, Any]) -> dict[str, float]:
    """Seconds of a trial with one epoch, the mean of both batch sizes."""
    data = corpus(asked["dataset"], asked["train_samples"])
    train, validation = (tokenised(data.backbone, s, None) for s in (data.train, data.validation))
    sizes = [point["batch_size"] for point in asked["configurations"]["freeze"]]

    def space(trial: optuna.Trial, size: int) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 2e-5, 1e-2, log=True),
            "per_device_train_batch_size": trial.suggest_categorical(
                "per_device_train_batch_size", [size]
            ),
        }

    def accuracy(found: Any) -> dict[str, float]:
        return {"accuracy": float((np.argmax(found.predictions, 1) == found.label_ids).mean())}

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = AutoTokenizer.from_pretrained(data.backbone.folder)
        trainer = Trainer(
            model_init=lambda trial: model_for(data.backbone, "freeze", {}),
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                eval_strategy="epoch",
                save_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
            ),
            train_dataset=train,
            eval_dataset=validation,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=accuracy,
        )
        started = time.perf_counter()
        for size in (min(sizes), max(sizes)):
            trainer.hyperparameter_search(
                hp_space=partial(space, size=size),
                backend="optuna",
                n_trials=1,
                direction="maximize",
            )
        return {"seconds_per_epoch": (time.perf_counter() - started) / 2}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
