"""How a dataset's files become train, validation and test: one rule for each DatasetSpec.

A rule reads only the files that the asked split needs; one file that holds all is cut alike each
time, and the search is given its training and validation parts only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tune_sentiment.errors import UsageError
from tune_sentiment.phrases import PhraseIndex, subphrases
from tune_sentiment.splits import Split, Words, take

Read = Callable[[str], Split]

HELD_OUT_SHARE = 0.1
FEWEST_OF_A_CLASS = 10  # a tenth of them is one text
SENTENCE_WORDS = 8  # a phrase this long that no other contains is taken for a whole sentence
HELD_OUT_SENTENCES = 1_000


@dataclass(frozen=True)
class SplitRule:
    """A named way to cut.

    Args:
        name: Part of a comparison's identity.
        cut: From a reader of files, the wanted split's name and a seed to that split.
    """

    name: str
    cut: Callable[[Read, str, int], Split]


def stratified_parts(split: Split, size: int, seed: int) -> tuple[Split, Split]:
    """The rest and ``size`` held-out texts, with the same class shares, in the source's order.

    Raises:
        UsageError: If a class has too few texts.
    """
    from sklearn.model_selection import train_test_split

    rarest = int(np.bincount(split.labels).min())
    if rarest < FEWEST_OF_A_CLASS:
        raise UsageError(
            f"a class has {rarest} texts; {FEWEST_OF_A_CLASS} or more of each are needed to hold "
            "some out: remove it, merge it, or give a folder of splits"
        )
    try:
        rest, held_out = train_test_split(
            np.arange(len(split)), test_size=size, stratify=split.labels, random_state=seed
        )
    except ValueError as error:
        raise UsageError(f"too few texts to hold out {size} of {len(split)}: {error}") from error
    return take(split, np.sort(rest)), take(split, np.sort(held_out))


def _as_given(read: Read, wanted: str, seed: int) -> Split:
    return read(wanted)


def _validation_from_train(read: Read, wanted: str, seed: int) -> Split:
    if wanted == "test":
        return read("test")
    train = read("train")
    size = max(1, round(HELD_OUT_SHARE * len(train)))
    return stratified_parts(train, size, seed)[wanted == "validation"]


def _one_file(read: Read, wanted: str, seed: int) -> Split:
    whole = read("all")
    size = max(1, round(HELD_OUT_SHARE * len(whole)))
    rest, test = stratified_parts(whole, size, seed)
    if wanted == "test":
        return test
    return stratified_parts(rest, size, seed)[wanted == "validation"]


def _whole_sentences(
    read: Read, wanted: str, seed: int, held_out: int = HELD_OUT_SENTENCES
) -> Split:
    if wanted == "test":
        return read("validation")  # the official test split has no labels
    train = read("train")
    sentences = np.array(_sentences(train.words))
    if len(sentences) < 2 * held_out:
        raise UsageError(f"{len(sentences)} whole sentences in train, {2 * held_out} needed")
    chosen = stratified_parts(take(train, sentences), held_out, seed)[1]
    if wanted == "validation":
        return chosen
    inside = {part for words in chosen.words for part in subphrases(words)}
    index = PhraseIndex(chosen.words, SENTENCE_WORDS)
    kept = [
        number
        for number, words in enumerate(train.words)
        if words not in inside and not any(True for _ in index.contained_in(words))
    ]
    return take(train, np.array(kept))


def _sentences(phrases: list[Words]) -> list[int]:
    """Numbers of the long phrases that no other contains; of equal ones the first."""
    index = PhraseIndex(phrases, SENTENCE_WORDS)
    contained: set[int] = set()
    for number, words in enumerate(phrases):
        contained |= {
            other
            for other in index.contained_in(words)
            if len(phrases[other]) < len(words) or other > number
        }
    long = (n for n, words in enumerate(phrases) if len(words) >= SENTENCE_WORDS)
    return [number for number in long if number not in contained]


def whole_sentences(held_out: int) -> SplitRule:
    """SST-2's rule with another number of held-out sentences."""
    return SplitRule("whole sentences", partial(_whole_sentences, held_out=held_out))


AS_GIVEN = SplitRule("as given", _as_given)
VALIDATION_FROM_TRAIN = SplitRule("validation from train", _validation_from_train)
ONE_FILE = SplitRule("one file cut 80/10/10", _one_file)
WHOLE_SENTENCES = whole_sentences(HELD_OUT_SENTENCES)
