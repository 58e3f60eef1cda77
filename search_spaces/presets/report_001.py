"""Report 001: two learning rates, LoRA of several ranks."""

from search_spaces.presets.common import BASELINE, HIDDEN, full, lora
from tune_sentiment.preset import Experiments, Preset

PRESETS = {
    "001-rotten-tomatoes": Preset(
        report="001",
        about="two learning rates for full fine-tuning and for LoRA of two ranks",
        dataset="rotten_tomatoes",
        experiments=[
            BASELINE,
            Experiments(
                method="full",
                configurations=[full(lr, 16) for lr in (2e-5, 2e-4)],
                max_epochs=5,
                assumed=HIDDEN,
            ),
            Experiments(
                method="lora",
                configurations=[
                    lora(lr, rank, 2 * rank, "qv", batch_size=16)
                    for lr in (2e-5, 2e-4)
                    for rank in (8, 16)
                ],
                max_epochs=5,
                assumed=("alpha_over_rank", "targets", "dropout", *HIDDEN),
            ),
        ],
    ),
    "001-sst2": Preset(
        report="001",
        about="full fine-tuning beside LoRA of three ranks",
        dataset="sst2",
        experiments=[
            BASELINE,
            Experiments(
                method="full",
                configurations=[full(2e-5, 16)],
                max_epochs=3,
                assumed=("lr", "max_epochs", *HIDDEN),
            ),
            Experiments(
                method="lora",
                configurations=[
                    lora(2e-5, rank, 2 * rank, "qv", batch_size=16) for rank in (8, 16, 32)
                ],
                max_epochs=3,
                assumed=("lr", "max_epochs", "alpha_over_rank", "targets", "dropout", *HIDDEN),
            ),
        ],
    ),
}
