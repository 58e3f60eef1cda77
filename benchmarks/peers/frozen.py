"""The strong peer of the frozen sweep: features cached by hand, then Optuna over scikit-learn.

What a careful person writes in an afternoon: encode every sentence once, keep the two poolings in
memory, and let Optuna try linear SVMs and a small head in one process.
https://optuna.readthedocs.io/en/stable/tutorial/10_key_features/001_first.html
"""

import copy
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_scheduler

from benchmarks.corpus import MODEL, texts
from tune_sentiment.backbone import load_backbone
from tune_sentiment.splits import Split

ENCODE_BATCH = 64
Encoded = tuple[dict[str, np.ndarray], np.ndarray]  # both poolings, and the labels


def encode(model: Any, tokenizer: Any, split: Split) -> dict[str, np.ndarray]:
    """Both poolings of every sentence, in batches padded to their longest."""
    kept: dict[str, list[torch.Tensor]] = {"cls": [], "mean": []}
    with torch.inference_mode():
        for start in range(0, len(split.texts), ENCODE_BATCH):
            texts = list(split.texts[start : start + ENCODE_BATCH])
            batch = tokenizer(
                texts, padding=True, truncation=True, max_length=512, return_tensors="pt"
            )
            states = model.base_model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None]
            kept["cls"].append(states[:, 0])
            kept["mean"].append((states * mask).sum(1) / mask.sum(1))
    return {name: torch.cat(parts).numpy() for name, parts in kept.items()}


def svm(params: dict[str, Any], train: Encoded) -> Any:
    """One linear SVM."""
    machine = make_pipeline(StandardScaler(), LinearSVC(C=params["C"], dual=False, max_iter=1000))
    return machine.fit(train[0][params["pooling"]], train[1])


def svm_accuracy(
    params: dict[str, Any],
    train: Encoded,
    validation: Encoded,
    report: Callable[[float], None] = lambda accuracy: None,
) -> float:
    """Of one linear SVM."""
    machine = svm(params, train)
    accuracy = float(machine.score(validation[0][params["pooling"]], validation[1]))
    report(accuracy)
    return accuracy


def head_accuracy(
    params: dict[str, Any],
    train: Encoded,
    validation: Encoded,
    head: Callable[[], Any],
    epochs: int,
    seed: int,
    report: Callable[[float], None] = lambda accuracy: None,
) -> float:
    """One head, trained with AdamW on the cached first states; the best epoch counts."""
    torch.manual_seed(seed)
    pooler, classifier = head()
    dropout = torch.nn.Dropout(0.1)
    trainable = [*pooler.parameters(), *classifier.parameters()]
    optimizer = torch.optim.AdamW(
        trainable, lr=params["lr"], weight_decay=params["weight_decay"], fused=True
    )
    data = TensorDataset(torch.from_numpy(train[0]["cls"]), torch.from_numpy(train[1]))
    loader = DataLoader(data, batch_size=params["batch_size"], shuffle=True)
    total = len(loader) * epochs
    schedule = get_scheduler(
        "linear",
        optimizer,
        num_warmup_steps=round(params["warmup_ratio"] * total),
        num_training_steps=total,
    )
    best = 0.0
    for _ in range(epochs):
        pooler.train(), classifier.train(), dropout.train()
        for states, labels in loader:
            logits = classifier(dropout(pooler(states[:, None])))
            torch.nn.functional.cross_entropy(logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        with torch.inference_mode():
            states = torch.from_numpy(validation[0]["cls"])
            predicted = classifier(pooler(states[:, None])).argmax(1).numpy()
        best = max(best, float((predicted == validation[1]).mean()))
        report(best)
    return best


def cached(asked: dict[str, Any]) -> tuple[Encoded, Encoded, Callable[[], Any]]:
    """Training and validation, encoded once, and what makes a new head."""
    folder = load_backbone(MODEL).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).eval()
    train, validation = (
        (encode(model, tokenizer, split), split.labels)
        for split in texts(asked["dataset"], asked["train_samples"], asked["seed"])
    )
    layers, spread = (model.base_model.pooler, model.classifier), model.config.initializer_range

    def head() -> Any:
        pooler, classifier = copy.deepcopy(layers)
        torch.nn.init.normal_(classifier.weight, std=spread)
        return pooler, classifier

    return train, validation, head


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """The validation accuracy of each configuration, in order."""
    train, validation, head = cached(asked)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = {}
    for method, points in asked["configurations"].items():

        def objective(trial: optuna.Trial, method: str = method) -> float:
            params = {"pooling": "cls", **suggested(trial, method)}
            if method == "svm":
                return svm_accuracy(params, train, validation)
            return head_accuracy(
                params, train, validation, head, asked["max_epochs"], asked["seed"]
            )

        study = optuna.create_study(direction="maximize")
        for point in points:
            study.enqueue_trial(point)
        study.optimize(objective, n_trials=len(points))
        found[method] = [trial.value for trial in study.trials]
    return found


def suggested(trial: optuna.Trial, method: str) -> dict[str, Any]:
    """The spaces of the two methods."""
    if method == "svm":
        return {
            "C": trial.suggest_float("C", 1e-4, 1e2, log=True),
            "pooling": trial.suggest_categorical("pooling", ["cls", "mean"]),
        }
    return {
        "lr": trial.suggest_float("lr", 2e-5, 1e-2, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
        "warmup_ratio": trial.suggest_float("warmup_ratio", 0.0, 0.2),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
