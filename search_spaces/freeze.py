"""The frozen backbone's space."""

from ray import tune

from tune_sentiment.space import SearchSpace

SPACE = SearchSpace(
    method="freeze",
    params={
        "lr": tune.loguniform(2e-5, 1e-2),  # a new head bears what would wreck an encoder
        "batch_size": tune.choice([16, 32, 64, 128]),  # cached states: large batches cost nothing
        "warmup_ratio": tune.uniform(0.0, 0.2),  # as full fine-tuning
        "weight_decay": tune.loguniform(1e-4, 1e-1),  # as full fine-tuning
    },
    start=[
        {"lr": 5e-5, "batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01},  # report 002
        {"lr": 1e-3, "batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01},  # Adam's default
    ],
)
