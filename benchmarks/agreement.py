"""Whether what is faster is still the same: features, predictions and accuracy beside the peers'.

Nothing is timed here. Frozen features and the predictions of SVMs on them are compared one by one;
what dropout and shuffling make random is compared by its mean over seeds.
"""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy import stats
from transformers import AutoTokenizer

from benchmarks.configurations import svm_configurations
from benchmarks.corpus import Corpus, corpus
from benchmarks.harness import Row
from benchmarks.peers import frozen, trainer
from benchmarks.step_rate import PARAMS, setup_for
from tune_sentiment.features import frozen_features
from tune_sentiment.methods import METHODS
from tune_sentiment.provenance import cores
from tune_sentiment.train import fit
from tune_sentiment.trial_setup import build_state

FROZEN_SENTENCES, CONFIGURATIONS = 2048, 32
SENTENCES, EPOCHS, SEEDS = 1024, 2, 4
LARGEST_DIFFERENCE, LEAST_EQUAL, MARGIN = 1e-5, 0.999, 0.005
BY_HAND, TRAINER = "features cached by hand", "Trainer"


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of frozen features, of SVMs on them, and of LoRA's accuracy."""
    torch.set_num_threads(cores())
    with TemporaryDirectory() as folder:
        say("features and predictions")
        data = corpus("rotten_tomatoes", 64 if quick else FROZEN_SENTENCES)
        with patch.dict(os.environ, {"TUNE_SENTIMENT_CACHE": folder}):  # kept ones prove nothing
            rows = _frozen(data, 2 if quick else CONFIGURATIONS)
        data = corpus("sst2", 64 if quick else SENTENCES)
        rows.append(_trained(data, Path(folder), 2 if quick else SEEDS, say))
    return rows


def _frozen(data: Corpus, configurations: int) -> list[Row]:
    splits = (data.train, data.validation)
    tokens = (data.train_tokens, data.validation_tokens)
    ours = [frozen_features(data.backbone, made, "cpu") for made in tokens]
    tokenizer = AutoTokenizer.from_pretrained(data.backbone.folder)
    encoder = trainer.model_for(data.backbone, "full", {}).eval()
    theirs = [(frozen.encode(encoder, tokenizer, split), split.labels) for split in splits]
    difference = max(
        float(np.abs(mine.pooled[name] - encoded[name]).max())
        for mine, (encoded, _) in zip(ours, theirs, strict=True)
        for name in mine.pooled
    )
    svm = METHODS["svm"]
    assert svm.fit is not None
    equal = []
    for params in svm_configurations(configurations):
        mine = svm.fit(svm.hyperparameters(**params), ours[0]).scores(ours[1]).argmax(axis=1)
        machine = frozen.svm(params, theirs[0])
        equal.append(mine == machine.predict(theirs[1][0][params["pooling"]]))
    share = float(np.mean(equal))
    return [
        {
            "what": f"features of {sum(len(split) for split in splits)} sentences",
            "peer": BY_HAND,
            "value": f"differ by {difference:.1e} at most",
            "is_met": difference <= LARGEST_DIFFERENCE,
        },
        {
            "what": f"{np.size(equal)} predictions of {configurations} SVMs",
            "peer": BY_HAND,
            "value": f"{share:.3%} equal",
            "is_met": share >= LEAST_EQUAL,
        },
    ]


def _trained(data: Corpus, folder: Path, seeds: int, say: Callable[[str], None]) -> Row:
    params = {**PARAMS["lora"], "lr": 1e-3}
    setup = setup_for("lora", data, max_epochs=EPOCHS)
    train, validation = (
        trainer.tokenised(data.backbone, split, None) for split in (data.train, data.validation)
    )
    found: dict[str, list[float]] = {"ours": [], TRAINER: []}
    for seed in range(seeds):
        state = build_state(setup, params, seed, data.train_tokens)
        *_, last = fit(state, data.train_tokens, data.validation_tokens)
        found["ours"].append(float(last.metrics["val_accuracy"] or 0.0))
        settings: dict[str, Any] = {"seed": seed, "num_train_epochs": EPOCHS}
        done = trainer.train(data.backbone, train, params, folder, method="lora", **settings)
        answer = done.trainer.predict(validation)
        found[TRAINER].append(float((answer.predictions.argmax(1) == answer.label_ids).mean()))
        say(f"  seed {seed}: ours {found['ours'][-1]:.3f}, Trainer {found[TRAINER][-1]:.3f}")
    differences = np.subtract(found["ours"], found[TRAINER])
    low, high = stats.ttest_1samp(differences, 0).confidence_interval()
    means = {side: 100 * float(np.mean(values)) for side, values in found.items()}
    return {
        "what": f"accuracy of lora on {data.name}, {len(data.train)} sentences, {seeds} seeds",
        "peer": TRAINER,
        "value": (
            f"{means['ours']:.1f} beside {means[TRAINER]:.1f}: difference "
            f"{means['ours'] - means[TRAINER]:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points"
        ),
        "is_met": True if low >= -MARGIN else False if high < -MARGIN else None,
        "accuracies": found,
    }
