"""What five lab reports published of DistilBERT on the same data, as they wrote it.

Each number is of one seed. They are set beside ours for the same model and dataset only.
"""

from dataclasses import dataclass

DISTILBERT = "distilbert/distilbert-base-uncased"
SAME_MODEL = {"distilbert": DISTILBERT, "distilbert-base-uncased": DISTILBERT}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published score.

    Args:
        report: Number of the lab report, ``000`` to ``004``.
        dataset: A name in DATASETS.
        method: A name in METHODS.
        split: ``val`` or ``test`` as we call it (SST-2's official validation split is our test);
            ``None`` where the report does not say.
        value: Accuracy, or what ``metric`` says, in ``[0, 1]``.
        metric: Name without its split.
        setting: What the report says of the configuration.
        model: Hub id of the backbone.
    """

    report: str
    dataset: str
    method: str
    split: str | None
    value: float
    metric: str = "accuracy"
    setting: str = ""
    model: str = DISTILBERT


RT, SST2 = "rotten_tomatoes", "sst2"
ALL_SIX = "all six linear maps, r=8, alpha=32, lr=2e-5, batch 24, 10 epochs"
QV = "q and v, r=8, alpha=16, dropout 0.1, fp16"

PUBLISHED = (
    Published(report="000", dataset=RT, method="svm", split="val", value=0.80),
    Published(report="000", dataset=RT, method="svm", split="test", value=0.79),
    Published(report="000", dataset=RT, method="lora", split="val", value=0.86, setting=ALL_SIX),
    Published(report="000", dataset=RT, method="lora", split="test", value=0.83, setting=ALL_SIX),
    Published(report="000", dataset=SST2, method="svm", split="test", value=0.65),
    Published(
        report="000", dataset=SST2, method="lora", split="test", value=0.90, setting="5 epochs"
    ),
    *(
        Published(
            report="001",
            dataset=dataset,
            method=method,
            split=None,
            value=value,
            metric="precision",
            setting=setting,
        )
        for dataset, method, value, setting in (
            (RT, "full", 0.836, "lr=2e-5"),
            (RT, "full", 0.792, "lr=2e-4"),
            (RT, "lora", 0.858, "r=16, lr=2e-5"),
            (RT, "lora", 0.849, "r=8, lr=2e-5"),
            (RT, "lora", 0.853, "r=16, lr=2e-4"),
            (RT, "lora", 0.838, "r=8, lr=2e-4"),
            (SST2, "full", 0.8829, ""),
            (SST2, "lora", 0.8945, "r=8"),
            (SST2, "lora", 0.8982, "r=16"),
            (SST2, "lora", 0.8867, "r=32"),
        )
    ),
    Published(report="002", dataset=RT, method="lora", split=None, value=0.831, setting="r=8"),
    Published(report="002", dataset=RT, method="full", split=None, value=0.820, setting="lr=5e-5"),
    Published(
        report="002", dataset=RT, method="freeze", split=None, value=0.778, setting="lr=5e-5"
    ),
    Published(report="003", dataset=RT, method="svm", split="val", value=0.8180),
    Published(report="003", dataset=RT, method="svm", split="test", value=0.7946),
    *(
        Published(report="003", dataset=RT, method="svm", split=split, metric=metric, value=value)
        for split, metric, value in (
            ("val", "precision", 0.8317),
            ("val", "recall", 0.7974),
            ("val", "f1", 0.8142),
            ("test", "precision", 0.8054),
            ("test", "recall", 0.7767),
            ("test", "f1", 0.7908),
        )
    ),
    Published(report="003", dataset=RT, method="full", split="val", value=0.88, setting="lr=2e-5"),
    Published(report="003", dataset=RT, method="full", split="test", value=0.85, setting="lr=2e-5"),
    Published(report="003", dataset=RT, method="lora", split="val", value=0.87, setting="lr=2e-5"),
    Published(report="003", dataset=RT, method="lora", split="test", value=0.84, setting="lr=2e-5"),
    Published(report="004", dataset=RT, method="svm", split="val", value=0.82),
    Published(report="004", dataset=RT, method="svm", split="test", value=0.80),
    Published(report="004", dataset=RT, method="freeze", split="val", value=0.78),
    Published(report="004", dataset=RT, method="full", split="val", value=0.80),
    Published(
        report="004", dataset=RT, method="lora", split="val", value=0.817, setting=f"{QV}, lr=2e-5"
    ),
    Published(
        report="004", dataset=RT, method="lora", split="val", value=0.841, setting=f"{QV}, lr=2e-4"
    ),
    *(
        Published(
            report="004",
            dataset=RT,
            method=method,
            split="val",
            metric="f1",
            value=value,
            setting=setting,
        )
        for method, value, setting in (
            ("svm", 0.80, ""),
            ("freeze", 0.77, ""),
            ("full", 0.80, ""),
            ("lora", 0.812, f"{QV}, lr=2e-5"),
            ("lora", 0.840, f"{QV}, lr=2e-4"),
        )
    ),
)

QUESTIONS = (
    ("lr", "lora", "Which learning rate for LoRA: 2e-5 (reports 001, 003) or 2e-4 (report 004)?"),
    ("lr", "full", "Which learning rate for full fine-tuning: 2e-5 or 2e-4 (reports 001, 003)?"),
    ("rank", "lora", "Does a higher LoRA rank help (report 001: r=16 over r=8)?"),
)
PAIRS = (
    ("freeze", "svm", "Is training only the head worse than the SVM (report 004)?"),
    ("lora", "full", "Is LoRA better than full fine-tuning (reports 001, 002, 004)?"),
)


def published_for(dataset: str, model: str) -> list[Published]:
    """What was published of this dataset with this model."""
    known = SAME_MODEL.get(model, model)
    return [entry for entry in PUBLISHED if (entry.dataset, entry.model) == (dataset, known)]
