"""IA3's space."""

from ray import tune

from tune_sentiment.space import SearchSpace

COMMON = {"batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01}

SPACE = SearchSpace(
    method="ia3",
    params={
        "lr": tune.loguniform(1e-4, 3e-2),  # around Liu et al.'s 3e-3: factors near one move far
        "head_lr_over_lr": tune.choice([0.1, 0.3, 1]),  # the head bears less than the factors
        "batch_size": tune.choice([16, 32]),  # as full fine-tuning
        "warmup_ratio": tune.uniform(0.0, 0.2),  # 0.06 in Liu et al.
        "weight_decay": tune.loguniform(1e-4, 1e-1),  # as full fine-tuning
    },
    start=[
        {"lr": 3e-3, "head_lr_over_lr": 1} | COMMON,  # Liu et al., 2022, section 3.3
        {"lr": 1e-2, "head_lr_over_lr": 0.1} | COMMON,  # small encoders need more of the factors
    ],
)
