"""transformers' Trainer, as its documentation shows it, and as well set as it can be.

https://huggingface.co/docs/transformers/training and
https://huggingface.co/docs/transformers/main_classes/trainer
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig, TaskType, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tune_sentiment.backbone import Backbone
from tune_sentiment.splits import Split

BEST_TUNED = {"train_sampling_strategy": "group_by_length"}  # its AdamW is the fused one already
TARGETS = {"bert": {"qv": ["query", "value"]}, "distilbert": {"qv": ["q_lin", "v_lin"]}}
HEADS = {"bert": "pooler", "distilbert": "pre_classifier"}  # below the last linear map


@dataclass(frozen=True)
class Done:
    """A training that ended: its seconds, mean loss, and what trained."""

    seconds: float
    train_loss: float
    num_trainable_params: int
    trainer: Trainer


class Stopwatch(TrainerCallback):
    """Seconds from before the first step to after the last."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start."""
        self.started = time.perf_counter()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.started


def tokenised(backbone: Backbone, split: Split, width: int | None) -> Dataset:
    """A Dataset of token ids, each padded to ``width`` where that is given."""
    tokenizer = AutoTokenizer.from_pretrained(backbone.folder)
    padding: dict[str, Any] = {"padding": "max_length"} if width else {}

    def encode(batch: dict[str, Any]) -> Any:
        return tokenizer(batch["text"], truncation=True, max_length=width or 512, **padding)

    texts = Dataset.from_dict({"text": list(split.texts), "label": split.labels.tolist()})
    return texts.map(encode, batched=True, remove_columns=["text"])


def model_for(backbone: Backbone, method: str, params: dict[str, Any]) -> Any:
    """The plain classifier, or one that PEFT has wrapped; BERT's pooler is part of the head."""
    model = AutoModelForSequenceClassification.from_pretrained(backbone.folder, num_labels=2)
    family = model.config.model_type
    if method == "freeze":
        model.base_model.requires_grad_(False)
        model.base_model.pooler.requires_grad_(True)
    if method != "lora":
        return model
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=params["rank"],
        lora_alpha=params["rank"] * params["alpha_over_rank"],
        lora_dropout=params["dropout"],
        target_modules=TARGETS[family][params["targets"]],
        modules_to_save=["classifier", HEADS[family]],
    )
    return get_peft_model(model, config)


def train(
    backbone: Backbone,
    data: Dataset,
    params: dict[str, Any],
    folder: Path,
    *,
    method: str,
    **changes: Any,
) -> Done:
    """One training with the Trainer; ``changes`` are more of its arguments."""
    watch = Stopwatch()
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": params["batch_size"],
        "learning_rate": params["lr"],
        "weight_decay": params["weight_decay"],
        "num_train_epochs": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    tokenizer = AutoTokenizer.from_pretrained(backbone.folder)
    made = Trainer(
        model=model_for(backbone, method, params),
        args=TrainingArguments(**{**settings, **changes}),
        train_dataset=data,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        callbacks=[watch],
    )
    done = made.train()
    trainable = sum(p.numel() for p in made.model.parameters() if p.requires_grad)
    return Done(watch.seconds, float(done.training_loss), trainable, made)
