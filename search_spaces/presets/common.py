"""What the reports share, and what their libraries do where a text says nothing."""

from typing import Any

from tune_sentiment.preset import Experiments

TRAINER = {"warmup_ratio": 0.0, "weight_decay": 0.0}  # transformers' TrainingArguments
PEFT = {"dropout": 0.0, "head_lr_over_lr": 1}  # peft's LoraConfig; one rate for everything
HIDDEN = ("weight_decay", "warmup_ratio")
SVM = {"C": 1.0, "pooling": "cls"}  # scikit-learn's default on [CLS]

BASELINE = Experiments(method="svm", configurations=[SVM], assumed=["C"])


def lora(lr: float, rank: int, alpha: int, targets: str, **other: Any) -> dict[str, Any]:
    """One configuration of LoRA."""
    values = {"lr": lr, "rank": rank, "alpha_over_rank": alpha // rank, "targets": targets}
    return {**values, **PEFT, **TRAINER, **other}


def full(lr: float, batch_size: int) -> dict[str, Any]:
    """One configuration of full fine-tuning, or of the head alone."""
    return {"lr": lr, "batch_size": batch_size, **TRAINER}
