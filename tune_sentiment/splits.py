"""Labelled texts, and how they are cut, counted and told apart without looking at labels."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tune_sentiment.errors import UsageError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Texts with their classes.

    Args:
        texts: The sentences, in the order of the source.
        labels: Classes from 0, ``[len(texts)]``.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class SplitSummary:
    """What anyone may know of a split, the test split included.

    Args:
        rows: Number of texts.
        class_counts: Texts of each class, in class order.
        mean_words: Mean number of words in a text.
        text_hashes: 64-bit hashes of the normalised texts, ``[rows]``.
        fingerprint: Changes with any text, label or their order.
    """

    rows: int
    class_counts: tuple[int, ...]
    mean_words: float
    text_hashes: npt.NDArray[np.uint64]
    fingerprint: str


def stratified_subset(split: Split, size: int | None, seed: int) -> Split:
    """``size`` texts with the class shares of the whole, in the order of the source.

    Raises:
        UsageError: If the split has fewer texts, or a class would get none.
    """
    check_subset_size(size, len(split), len(np.unique(split.labels)))
    if size is None or size == len(split):
        return split
    from sklearn.model_selection import train_test_split

    chosen, _ = train_test_split(
        np.arange(len(split)), train_size=size, stratify=split.labels, random_state=seed
    )
    chosen.sort()
    return Split([split.texts[i] for i in chosen], split.labels[chosen])


def check_subset_size(size: int | None, rows: int, num_classes: int) -> None:
    """Refuse a subset that is larger than the whole, or too small to hold every class.

    Raises:
        UsageError: With the size and the limit.
    """
    if size is None or size == rows:
        return
    if size > rows:
        raise UsageError(f"train_samples <= {rows} must hold, got {size}")
    if min(size, rows - size) < num_classes:
        raise UsageError(
            f"train_samples must leave {num_classes} texts or more on both sides, got {size} of "
            f"{rows}"
        )


def normalised(text: str) -> str:
    """Lower-cased letters and digits, words separated by one space."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def text_hash(text: str) -> int:
    """64-bit hash of the normalised text."""
    return int.from_bytes(hashlib.sha256(normalised(text).encode()).digest()[:8], "big")


def summarise(split: Split, num_classes: int) -> SplitSummary:
    """Counts, lengths and hashes of a split."""
    content = hashlib.sha256()
    for text, label in zip(split.texts, split.labels, strict=True):
        content.update(f"{len(text.encode())}:{label}:{text}".encode())
    counts = np.bincount(split.labels, minlength=num_classes)
    return SplitSummary(
        rows=len(split),
        class_counts=tuple(int(count) for count in counts),
        mean_words=float(np.mean([len(text.split()) for text in split.texts])),
        text_hashes=np.array([text_hash(text) for text in split.texts], dtype=np.uint64),
        fingerprint=content.hexdigest()[:16],
    )
