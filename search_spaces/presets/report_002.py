"""Report 002: four ways to tune at one learning rate."""

from search_spaces.presets.common import BASELINE, HIDDEN, TRAINER, full, lora
from tune_sentiment.preset import Experiments, Preset

PRESETS = {
    "002": Preset(
        report="002",
        about="LoRA on the attention maps, frozen backbone, adapters and full fine-tuning",
        dataset="rotten_tomatoes",
        experiments=[
            BASELINE,
            Experiments(
                method="full",
                configurations=[full(5e-5, 16)],
                max_epochs=3,
                assumed=HIDDEN,
            ),
            Experiments(
                method="freeze",
                configurations=[full(5e-5, 16)],
                max_epochs=3,
                assumed=HIDDEN,
            ),
            Experiments(
                method="lora",
                configurations=[lora(5e-5, 8, 16, "qkvo", batch_size=16, dropout=0.1)],
                max_epochs=3,
                assumed=HIDDEN,
            ),
            Experiments(
                method="adapters",
                configurations=[
                    {
                        "lr": 5e-5,
                        "bottleneck": 64,
                        "placement": "ffn",
                        "dropout": 0.1,
                        "head_lr_over_lr": 1,
                        "batch_size": 16,
                        **TRAINER,
                    }
                ],
                max_epochs=3,
                assumed=("bottleneck", "placement", *HIDDEN),
            ),
        ],
    ),
}
