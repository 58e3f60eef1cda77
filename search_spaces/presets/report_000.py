"""Report 000: LoRA on all six linear maps, on Rotten Tomatoes and on SST-2."""

from search_spaces.presets.common import BASELINE, HIDDEN, full, lora
from tune_sentiment.preset import Experiments, Preset

PRESETS = {
    "000-rotten-tomatoes": Preset(
        report="000",
        about="experiments_1.sh: LoRA on all six maps beside full fine-tuning",
        dataset="rotten_tomatoes",
        experiments=[
            BASELINE,
            Experiments(
                method="full",
                configurations=[full(2e-5, 24)],
                max_epochs=10,
                assumed=HIDDEN,
            ),
            Experiments(
                method="lora",
                configurations=[lora(2e-5, 8, 32, "all", batch_size=24)],
                max_epochs=10,
                assumed=("dropout", *HIDDEN),
            ),
        ],
    ),
    "000-sst2": Preset(
        report="000",
        about="experiments_2.sh: LoRA on all six maps, half the epochs",
        dataset="sst2",
        experiments=[
            BASELINE,
            Experiments(
                method="lora",
                configurations=[lora(2e-5, 8, 32, "all", batch_size=24)],
                max_epochs=5,
                assumed=("dropout", *HIDDEN),
            ),
        ],
    ),
}
