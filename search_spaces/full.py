"""Full fine-tuning's space."""

from ray import tune

from tune_sentiment.space import SearchSpace

SPACE = SearchSpace(
    method="full",
    params={
        "lr": tune.loguniform(5e-6, 3e-4),  # around BERT's 2e-5 to 5e-5; above, encoders collapse
        "batch_size": tune.choice([16, 32]),  # Devlin et al., 2019, appendix A.3
        "warmup_ratio": tune.uniform(0.0, 0.2),  # at most one epoch of five
        "weight_decay": tune.loguniform(1e-4, 1e-1),  # 0.01 is BERT's
    },
    start=[
        {"lr": 2e-5, "batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01},  # 001, 003
        {"lr": 5e-5, "batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01},  # 002
        {"lr": 2e-4, "batch_size": 16, "warmup_ratio": 0.0, "weight_decay": 0.01},  # 001, 003
    ],
)
