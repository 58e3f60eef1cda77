"""The bottleneck adapters' space."""

from ray import tune

from tune_sentiment.space import SearchSpace

COMMON = {"batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01}

SPACE = SearchSpace(
    method="adapters",
    params={
        "lr": tune.loguniform(5e-5, 3e-3),  # around Houlsby et al.'s 3e-5 to 3e-3 (section 3.2)
        "bottleneck": tune.choice([16, 32, 64, 128, 256]),  # their sizes: 8 to 256
        "placement": tune.choice(["ffn", "attention_ffn"]),  # Pfeiffer's and Houlsby's
        "dropout": tune.uniform(0.0, 0.2),  # as LoRA's
        "head_lr_over_lr": tune.choice([1, 3, 10]),  # the head is new, adapters begin at identity
        "batch_size": tune.choice([16, 32]),  # as full fine-tuning
        "warmup_ratio": tune.uniform(0.0, 0.2),  # as full fine-tuning
        "weight_decay": tune.loguniform(1e-4, 1e-1),  # as full fine-tuning
    },
    start=[
        # the size that Houlsby et al. fix when they do not tune it
        {"lr": 5e-4, "bottleneck": 64, "placement": "ffn", "dropout": 0.0, "head_lr_over_lr": 1}
        | COMMON,
        # report 002
        {"lr": 5e-5, "bottleneck": 64, "placement": "ffn", "dropout": 0.0, "head_lr_over_lr": 1}
        | COMMON,
    ],
)
