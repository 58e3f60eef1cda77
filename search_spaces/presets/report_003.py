"""Report 003: learning rates, paddings, and what LoRA adapts."""

from search_spaces.presets.common import BASELINE, HIDDEN, full, lora
from tune_sentiment.preset import Experiments, Preset

PRESETS = {
    "003": Preset(
        report="003",
        about="two learning rates and two paddings, LoRA of two sizes on two sets of maps",
        dataset="rotten_tomatoes",
        experiments=[
            BASELINE,
            *(
                Experiments(
                    method="full",
                    configurations=[full(lr, 16) for lr in (2e-5, 2e-4)],
                    max_epochs=5,
                    padding=padding,
                    assumed=HIDDEN,
                )
                for padding in ("dynamic", "fixed")
            ),
            *(
                Experiments(
                    method="lora",
                    configurations=configurations,
                    max_epochs=5,
                    padding=padding,
                    assumed=("dropout", *HIDDEN),
                )
                for padding, configurations in (
                    (
                        "dynamic",
                        [
                            lora(lr, rank, alpha, targets, batch_size=16)
                            for lr in (2e-5, 2e-4)
                            for rank, alpha in ((8, 32), (16, 64))
                            for targets in ("qkvo", "all")
                        ],
                    ),
                    ("fixed", [lora(2e-5, 8, 32, "qkvo", batch_size=16)]),
                )
            ),
        ],
    ),
}
