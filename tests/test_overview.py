"""What is counted before any search, by hand."""

import numpy as np
import pytest

from tune_sentiment.overview import (
    class_counts,
    length_percentiles,
    lengths_data,
    repeated_texts,
    sample_items,
    shared_texts,
)
from tune_sentiment.splits import Split, summarise

CANARY = "zebra quagga okapi"
TRAIN = [
    ("A good film!", "good"),
    ("a GOOD film", "good"),
    ("bad, bad, bad", "bad"),
    ("a good film", "bad"),
    ("so so", "so"),
    ("bad bad bad", "bad"),
    ("so so indeed", "so"),
]
VALIDATION = [("A good film...", "good"), ("dull", "bad"), ("neither nor", "so")]
TEST = [("dull!", "bad"), ("a good film;", "good"), (CANARY, "so")]
CLASSES = ("bad", "good", "so")


def as_split(rows: list[tuple[str, str]]) -> Split:
    labels = np.array([CLASSES.index(label) for _, label in rows], dtype=np.int64)
    return Split([text for text, _ in rows], labels)


def test_classes_repeated_and_shared_texts_are_counted() -> None:
    train = as_split(TRAIN)
    splits = {
        "train": summarise(train, 3),
        "validation": summarise(as_split(VALIDATION), 3, train),
        "test": summarise(as_split(TEST), 3, train),
    }
    counts = class_counts(CLASSES, splits)
    assert counts["train"].to_dict() == {"bad": 3, "good": 2, "so": 2}
    assert counts["test"].to_dict() == {"bad": 1, "good": 1, "so": 1}
    assert shared_texts(splits).to_dict("index") == {
        "train": {"repeated": 3, "in_train": None, "in_validation": None},
        "validation": {"repeated": 0, "in_train": 1, "in_validation": None},
        "test": {"repeated": 0, "in_train": 1, "in_validation": 2},
    }


def test_repeated_texts_with_several_labels_come_first() -> None:
    more = [*TRAIN, ("Bad bad bad.", "bad"), ("bad bad BAD", "bad")]
    assert repeated_texts(as_split(more)).to_dict("records") == [
        {"text": "A good film!", "times": 3, "classes": (0, 1)},
        {"text": "bad, bad, bad", "times": 4, "classes": (0,)},
    ]


def test_a_percentile_is_a_length_that_occurs() -> None:
    lengths = {"train": np.arange(1, 21), "validation": np.array([7, 3, 40])}
    assert length_percentiles(lengths, 16).to_dict("index") == {
        "train": {"5": 1, "25": 5, "50": 10, "75": 15, "95": 19, "99": 20}
        | {"longest": 20, "share_longer": 0.2},
        "validation": {"5": 3, "25": 3, "50": 7, "75": 40, "95": 40, "99": 40}
        | {"longest": 40, "share_longer": 1 / 3},
    }


def test_the_histogram_counts_every_text_once() -> None:
    made = lengths_data(np.array([40, 3, 12, 3, 4, 10]))
    assert made["first"].tolist() == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert made["last"].tolist() == [4, 9, 14, 19, 24, 29, 34, 39, 40]
    assert made["texts"].tolist() == [3, 0, 2, 0, 0, 0, 0, 0, 1]


def test_one_very_long_text_does_not_widen_the_rows() -> None:
    made = lengths_data(np.array([5] * 100 + [6] * 99 + [5_000]))
    assert made.to_numpy().tolist() == [[5, 5, 100], [6, 5_000, 100]]


@pytest.mark.parametrize("longest", [2, 17, 18, 160, 161, 40_000])
def test_a_histogram_fits_a_small_terminal(longest: int) -> None:
    made = lengths_data(np.arange(1, longest + 1))
    assert len(made) <= 17
    assert made["texts"].sum() == longest


def test_samples_are_seeded_and_of_every_class() -> None:
    labels = np.array([0] * 50 + [1] * 50 + [2])
    made = sample_items(labels, 3, seed=1)
    assert labels[made].tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert len(set(made.tolist())) == 7
    assert sample_items(labels, 3, seed=1).tolist() == made.tolist()
    assert sample_items(labels, 3, seed=2).tolist() != made.tolist()
