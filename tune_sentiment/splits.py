"""Labelled texts, and how they are cut, counted and told apart without looking at labels."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from tune_sentiment.errors import StartError, UsageError

SPLITS = ("train", "validation", "test")
Words = tuple[str, ...]
PHRASE_WORDS = 4  # shorter phrases stand in many texts without telling of them


@dataclass(frozen=True)
class Split:
    """Texts with their classes.

    Args:
        texts: The sentences, in the order of the source.
        labels: Classes from 0, ``[len(texts)]``.
        dropped: Rows of the source that were left out for want of a text.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def words(self) -> list[Words]:
        """``words_of`` every text."""
        return [words_of(text) for text in self.texts]

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """``text_hash`` of every text, ``[len(texts)]``."""
        return np.array(list(map(text_hash, self.texts, self.words)), dtype=np.uint64)


@dataclass(frozen=True)
class SplitSummary:
    """What anyone may know of a split, the test split included.

    Args:
        rows: Number of texts.
        class_counts: Texts of each class, in class order.
        mean_words: Mean number of words in a text.
        text_hashes: ``text_hash`` of every text, ``[rows]``.
        fingerprint: Changes with any text, label or their order.
        share_with_training_phrase: Share of texts that contain a training text of four words or
            more; ``None`` for train itself.
        num_texts_in_train: Texts that train holds, too; ``None`` for train itself.
        dropped: Rows of its source that were left out for want of a text.
    """

    rows: int
    class_counts: tuple[int, ...]
    mean_words: float
    text_hashes: npt.NDArray[np.uint64]
    fingerprint: str
    share_with_training_phrase: float | None
    num_texts_in_train: int | None
    dropped: int


def stratified_subset(split: Split, size: int | None, seed: int) -> Split:
    """``size`` texts with the class shares of the whole, in the order of the source.

    Raises:
        UsageError: If the split has fewer texts, or a class would get none.
    """
    check_subset_size(size, np.unique(split.labels, return_counts=True)[1].tolist())
    if size is None or size == len(split):
        return split
    from sklearn.model_selection import train_test_split

    chosen, _ = train_test_split(
        np.arange(len(split)), train_size=size, stratify=split.labels, random_state=seed
    )
    chosen.sort()
    return take(split, chosen)


def take(split: Split, items: npt.NDArray[np.int64]) -> Split:
    """The texts with these numbers, in their order."""
    return Split([split.texts[i] for i in items], split.labels[items], split.dropped)


def check_subset_size(size: int | None, class_counts: Sequence[int]) -> None:
    """Refuse a subset that is larger than the whole, or too small to hold every class.

    Args:
        size: Texts of the subset; ``None`` for all.
        class_counts: Texts of each class in the whole.

    Raises:
        UsageError: With the size and the limit.
    """
    rows, num_classes = sum(class_counts), len(class_counts)
    if size is None or size == rows:
        return
    if size > rows:
        raise UsageError(f"train_samples <= {rows} must hold, got {size}")
    if min(size, rows - size) < num_classes:
        raise UsageError(
            f"train_samples must leave {num_classes} texts or more on both sides, got {size} of "
            f"{rows}"
        )
    if min(class_counts) < 2:
        raise UsageError(
            f"no stratified subset of {size} of {rows}: a class has a single training text"
        )


def words_of(text: str) -> Words:
    """The words of a text: runs of letters and digits, lower-cased."""
    return tuple(_word().findall(text.lower()))


@cache
def _word() -> re.Pattern[str]:
    """Letters and digits, with the marks behind them that many scripts write vowels with."""
    marks = (chr(code) for code in range(0x300, 0x1F000))
    class_of_marks = "".join(mark for mark in marks if unicodedata.category(mark).startswith("M"))
    return re.compile(rf"[^\W_](?:[^\W_]|[{class_of_marks}])*")


def text_hash(text: str, words: Words | None = None) -> int:
    """64-bit hash of a text's letters and digits: ``do n't`` and ``don't`` are one text.

    A text without any is hashed as it is.

    Args:
        text: What is hashed.
        words: Its words, where they are known.
    """
    kept = "".join(words_of(text) if words is None else words) or text.strip()
    return int.from_bytes(hashlib.sha256(kept.encode()).digest()[:8], "big")


def content_fingerprint(split: Split) -> str:
    """Changes with any text, label or their order."""
    content = hashlib.sha256()
    for text, label in zip(split.texts, split.labels, strict=True):
        content.update(f"{len(text.encode())}:{label}:{text}".encode())
    return content.hexdigest()[:16]


def summarise(split: Split, num_classes: int, train: Split | None = None) -> SplitSummary:
    """Counts, lengths and hashes of a split, and what it shares with train."""
    from tune_sentiment.phrases import share_containing

    counts = np.bincount(split.labels, minlength=num_classes)
    return SplitSummary(
        rows=len(split),
        class_counts=tuple(int(count) for count in counts),
        mean_words=float(np.mean([len(text.split()) for text in split.texts])),
        text_hashes=split.hashes,
        fingerprint=content_fingerprint(split),
        share_with_training_phrase=None
        if train is None
        else share_containing(split.words, train.words, PHRASE_WORDS),
        num_texts_in_train=None
        if train is None
        else int(np.isin(split.hashes, train.hashes).sum()),
        dropped=split.dropped,
    )


def check_unchanged(split: Split, summary: SplitSummary, name: str) -> None:
    """Refuse a split that is not the one that the study was planned with.

    Raises:
        StartError: If a text, a label or their order differs.
    """
    if content_fingerprint(split) != summary.fingerprint:
        raise StartError(f"the {name} texts have changed since the command began; run it again")
