"""BitFit's space."""

from ray import tune

from tune_sentiment.space import SearchSpace

COMMON = {"batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01}

SPACE = SearchSpace(
    method="bitfit",
    params={
        "lr": tune.loguniform(5e-5, 1e-2),  # around Ben Zaken et al.'s 1e-4 to 1e-3
        "head_lr_over_lr": tune.choice([1, 3, 10]),  # the head is new, biases begin where they are
        "batch_size": tune.choice([16, 32]),  # theirs is 16
        "warmup_ratio": tune.uniform(0.0, 0.2),  # as full fine-tuning
        "weight_decay": tune.loguniform(1e-4, 1e-1),  # acts on the head alone: biases get none
    },
    start=[
        # the middle of what Ben Zaken et al. tried, 1e-4, 4e-4, 7e-4 and 1e-3, and its end
        {"lr": 4e-4, "head_lr_over_lr": 1} | COMMON,
        {"lr": 1e-3, "head_lr_over_lr": 1} | COMMON,
    ],
)
