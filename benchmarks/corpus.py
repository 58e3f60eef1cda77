"""The real data of the benchmarks: Rotten Tomatoes and SST-2 from the local mirror.

``TUNE_SENTIMENT_BENCHMARK_MODEL`` names another encoder, a folder for instance.
"""

import os
from dataclasses import dataclass
from functools import cache

from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.data import load_train_val, mirror_folder
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.errors import UsageError
from tune_sentiment.splits import Split
from tune_sentiment.tokens import Tokens, tokenise

MODEL = os.environ.get("TUNE_SENTIMENT_BENCHMARK_MODEL", "minilm")
MAX_LENGTH = 512
SEED = 42


@dataclass(frozen=True)
class Corpus:
    """A data set's training and validation texts, as texts and as tokens."""

    name: str
    backbone: Backbone
    train: Split
    validation: Split
    train_tokens: Tokens
    validation_tokens: Tokens


def texts(name: str, train_samples: int, seed: int = SEED) -> tuple[Split, Split]:
    """The training texts of a stratified subset of a data set, and its validation texts.

    A search with ``--seed`` has the subset of that seed.

    Raises:
        UsageError: If there is no local mirror.
    """
    mirror = mirror_folder(None)
    if mirror is None:
        raise UsageError("the benchmarks read real data: set TUNE_SENTIMENT_DATA to its folder")
    spec = dataset_named(name)
    return load_train_val(spec, mirror=mirror, train_samples=train_samples, seed=seed)


@cache
def corpus(name: str, train_samples: int) -> Corpus:
    """A stratified subset of a data set.

    Raises:
        UsageError: If there is no local mirror.
    """
    backbone = load_backbone(MODEL)
    train, validation = texts(name, train_samples)
    tokens = [tokenise(backbone, s.texts, s.labels, MAX_LENGTH) for s in (train, validation)]
    return Corpus(name, backbone, train, validation, *tokens)
