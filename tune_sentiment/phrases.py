"""Which texts contain others, word for word: what a random hold-out of phrases would leak.

Texts are compared as the words that ``words_of`` finds in them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tune_sentiment.splits import Words


class PhraseIndex:
    """Finds the phrases that a text contains, in time that grows with the text's length.

    Args:
        phrases: What may be contained.
        min_words: Shorter phrases are left out, ``>= 1``.
    """

    def __init__(self, phrases: Sequence[Words], min_words: int) -> None:
        self.min_words = min_words
        self.starting: dict[Words, set[int]] = defaultdict(set)  # first words: lengths
        self.numbers: dict[Words, list[int]] = defaultdict(list)
        for number, words in enumerate(phrases):
            if len(words) >= min_words:
                self.starting[words[:min_words]].add(len(words))
                self.numbers[words].append(number)

    def contained_in(self, words: Words) -> Iterator[int]:
        """Numbers of the phrases that stand in ``words``, itself included where it is indexed."""
        for start in range(len(words) - self.min_words + 1):
            for length in self.starting.get(words[start : start + self.min_words], ()):
                yield from self.numbers.get(words[start : start + length], ())


def share_containing(texts: Sequence[Words], phrases: Sequence[Words], min_words: int) -> float:
    """Share of texts that contain one of the phrases of ``min_words`` words or more."""
    index = PhraseIndex(phrases, min_words)
    found = sum(any(True for _ in index.contained_in(words)) for words in texts)
    return found / len(texts)


def subphrases(words: Words) -> Iterator[Words]:
    """Every run of words, the whole included."""
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield words[start:end]
