"""What the hub of the tests holds under the real ids: a tiny DistilBERT, and generated datasets."""

import io
from collections.abc import Mapping

import pandas as pd

from tests.hub_repos import Repo
from tune_sentiment.data import load_test, load_train_val
from tune_sentiment.datasets_table import DATASETS
from tune_sentiment.tiny import build_tiny

DISTILBERT = "distilbert/distilbert-base-uncased"
ROTTEN_TOMATOES = "cornell-movie-review-data/rotten_tomatoes"
SST2 = "stanfordnlp/sst2"
OPINIONS = "somebody/opinions"  # without a card, and with words as labels
CARD = """---
dataset_info:
  features:
{features}
  splits:
{splits}
  download_size: {size}
  dataset_size: {size}
configs:
- config_name: default
  data_files:
{files}
---
# A card
"""
CLASSES = """  - name: label
    dtype:
      class_label:
        names:
          '0': negative
          '1': positive"""


def tiny_distilbert() -> Repo:
    """The model's files, with what a real repository holds beside them and nobody wants here."""
    folder = build_tiny()
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    return Repo({**files, "README.md": b"# A model\n", "pytorch_model.bin": b"a pickle"})


def dataset_repo(splits: Mapping[str, pd.DataFrame], place: str) -> Repo:
    """Parquet files and a card that names splits and columns, as on the hub.

    Args:
        splits: Rows of each split.
        place: Path of a split's file, with ``{}`` for its name.
    """
    files = {place.format(name): parquet(rows) for name, rows in splits.items()}
    names = [column for column in next(iter(splits.values())) if column != "label"]
    types = {"idx": "int32"}
    features = [f"  - name: {n}\n    dtype: {types.get(n, 'string')}" for n in names]
    card = CARD.format(
        features="\n".join([*features, CLASSES]),
        splits="\n".join(
            f"  - name: {name}\n    num_bytes: {len(files[place.format(name)])}\n"
            f"    num_examples: {len(rows)}"
            for name, rows in splits.items()
        ),
        size=sum(map(len, files.values())),
        files="\n".join(f"  - split: {n}\n    path: {place.format(n)}" for n in splits),
    )
    return Repo({"README.md": card.encode(), **files})


def parquet(rows: pd.DataFrame) -> bytes:
    """The rows as a file."""
    file = io.BytesIO()
    rows.to_parquet(file, index=False)
    return file.getvalue()


def reviews() -> dict[str, pd.DataFrame]:
    """The packaged corpus, as Rotten Tomatoes is laid out."""
    demo = DATASETS["demo"]
    parts = load_train_val(demo, mirror=None, train_samples=None, seed=1)
    splits = (*parts, load_test(demo, mirror=None, seed=1))
    return {
        name: pd.DataFrame({"text": split.texts, "label": split.labels})
        for name, split in zip(("train", "validation", "test"), splits, strict=True)
    }


def treebank(sentences: int = 2_100) -> dict[str, pd.DataFrame]:
    """Sentences and their phrases in train, sentences elsewhere, test labels hidden: as SST-2."""
    train: list[tuple[str, int]] = []
    for i in range(sentences):
        words = [f"w{i}x{j}" for j in range(8)]
        train += [(" ".join(part), i % 2) for part in (words, words[:3], words[3:])]
    others = [(" ".join(f"v{i}x{j}" for j in range(8)), i % 2) for i in range(40)]
    hidden = [(text.replace("v", "u"), -1) for text, _ in others]
    splits = {"train": train, "validation": others, "test": hidden}
    return {
        name: pd.DataFrame(rows, columns=["sentence", "label"]).reset_index(names="idx")
        for name, rows in splits.items()
    }


def opinions() -> Repo:
    """Comma separated files, as people upload them."""
    good = [f"fine film number {i},good" for i in range(20)]
    bad = [f"dull film number {i},bad" for i in range(20)]
    header = ["review,sentiment"]
    train, test = header + good[:15] + bad[:15], header + good[15:] + bad[15:]
    return Repo({"train.csv": "\n".join(train).encode(), "test.csv": "\n".join(test).encode()})


def contents() -> dict[tuple[str, str], Repo]:
    """Every repository of the hub."""
    return {
        ("models", DISTILBERT): tiny_distilbert(),
        ("datasets", ROTTEN_TOMATOES): dataset_repo(reviews(), "{}.parquet"),
        ("datasets", SST2): dataset_repo(treebank(), "data/{}-00000-of-00001.parquet"),
        ("datasets", OPINIONS): opinions(),
    }
