"""Gradual unfreezing's space."""

from ray import tune

from tune_sentiment.space import SearchSpace

COMMON = {"batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01}

SPACE = SearchSpace(
    method="gradual",
    params={
        "lr": tune.loguniform(5e-6, 3e-4),  # as full fine-tuning, which it ends as
        "unfreezing_ratio": tune.uniform(0.1, 0.5),  # a half at least for all; ASHA waits so long
        "head_lr_over_lr": tune.choice([1, 3, 10]),  # at first the head learns alone
        "batch_size": tune.choice([16, 32]),  # as full fine-tuning
        "warmup_ratio": tune.uniform(0.0, 0.2),  # as full fine-tuning
        "weight_decay": tune.loguniform(1e-4, 1e-1),  # as full fine-tuning
    },
    start=[
        # full fine-tuning's first two start points, thawed by half of the training
        {"lr": 2e-5, "unfreezing_ratio": 0.5, "head_lr_over_lr": 1} | COMMON,
        {"lr": 5e-5, "unfreezing_ratio": 0.5, "head_lr_over_lr": 10} | COMMON,
    ],
)
