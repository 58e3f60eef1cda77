"""Report 004: the head alone, everything, and LoRA on queries and values."""

from search_spaces.presets.common import BASELINE, HIDDEN, full, lora
from tune_sentiment.preset import Experiments, Preset

PRESETS = {
    "004": Preset(
        report="004",
        about="head only, full fine-tuning, and LoRA on q and v at two learning rates",
        dataset="rotten_tomatoes",
        experiments=[
            BASELINE,
            Experiments(
                method="full",
                configurations=[full(2e-5, 16)],
                max_epochs=3,
                assumed=("lr", "batch_size", "max_epochs", *HIDDEN),
            ),
            Experiments(
                method="freeze",
                configurations=[full(2e-5, 16)],
                max_epochs=3,
                assumed=("lr", "batch_size", "max_epochs", *HIDDEN),
            ),
            Experiments(
                method="lora",
                configurations=[
                    lora(lr, 8, 16, "qv", batch_size=16, dropout=0.1) for lr in (2e-5, 2e-4)
                ],
                max_epochs=3,
                assumed=("batch_size", "max_epochs", *HIDDEN),
            ),
        ],
        notes=["the report trained LoRA in fp16; here --precision says it, auto on a GPU"],
    ),
}
