from pathlib import Path

import numpy as np
import pytest

from tune_sentiment.data import describe_splits, load_test, load_train_val
from tune_sentiment.datasets_table import DATASETS
from tune_sentiment.phrases import PhraseIndex, share_containing, subphrases
from tune_sentiment.split_rules import ONE_FILE, VALIDATION_FROM_TRAIN, whole_sentences
from tune_sentiment.splits import Split, words_of


def test_an_index_finds_the_phrases_that_stand_in_a_text() -> None:
    phrases = [words_of(text) for text in ("a b", "b c d", "A, B!", "c", "x y")]
    index = PhraseIndex(phrases, min_words=2)
    assert sorted(index.contained_in(words_of("z a b c d"))) == [0, 1, 2]
    assert list(index.contained_in(words_of("ab cd"))) == []


def test_subphrases_are_every_run_of_words() -> None:
    assert sorted(subphrases(("a", "b", "c"))) == sorted(
        [("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ("a", "b", "c")]
    )


def test_the_share_of_texts_that_contain_a_phrase() -> None:
    texts = ["one two three four five", "one two three", "six"]
    words = [words_of(text) for text in texts]
    phrases = [words_of(text) for text in ("Two three four, five", "six")]
    assert share_containing(words, phrases, 4) == pytest.approx(1 / 3)


def tree(sentences: int) -> Split:
    """Sentences of nine words, each with phrases of its own, like a treebank's."""
    texts, labels = [], []
    for i in range(sentences):
        words = [f"w{i}x{j}" for j in range(9)]
        for part in (words, words[:4], words[4:], words[8:], words[:8]):
            texts.append(" ".join(part))
            labels.append(i % 2)
    return Split(texts, np.array(labels))


def test_whole_sentences_are_held_out_with_every_phrase_of_theirs() -> None:
    whole = tree(40)
    rule = whole_sentences(10)

    def read(part: str) -> Split:
        assert part == "train"
        return whole

    train, validation = (rule.cut(read, part, 3) for part in ("train", "validation"))
    assert len(validation) == 10
    assert all(len(text.split()) == 9 for text in validation.texts)
    assert validation.labels.sum() == 5
    assert len(train) == 30 * 5
    held_out = {text.split()[0].partition("x")[0] for text in validation.texts}
    assert not any(word.partition("x")[0] in held_out for t in train.texts for word in t.split())


@pytest.mark.parametrize("rule", [VALIDATION_FROM_TRAIN, ONE_FILE])
def test_held_out_parts_are_disjoint_stratified_and_seeded(rule: object) -> None:
    labels = np.arange(200) % 4 // 3
    whole = Split([f"t{i}" for i in range(200)], labels)

    def cut(part: str, seed: int) -> Split:
        return rule.cut(lambda _: whole, part, seed)  # type: ignore[attr-defined, no-any-return]

    parts = ["train", "validation"] + (["test"] if rule is ONE_FILE else [])
    made = {part: cut(part, 1) for part in parts}
    texts = [text for split in made.values() for text in split.texts]
    assert sorted(texts) == sorted(whole.texts)
    assert all(split.labels.mean() == pytest.approx(0.25, abs=0.03) for split in made.values())
    assert cut("validation", 1).texts == made["validation"].texts != cut("validation", 2).texts


@pytest.mark.data
def test_sst2s_validation_shares_no_phrase_with_its_training(real_data: Path) -> None:
    spec = DATASETS["sst2"]
    train, validation = load_train_val(spec, mirror=real_data, train_samples=None, seed=42)
    assert len(validation) == 1_000
    assert len(train) > 50_000
    assert not set(train.words) & set(validation.words)
    long = PhraseIndex(validation.words, 8)
    assert not any(True for words in train.words for _ in long.contained_in(words))
    assert share_containing(validation.words, train.words, 4) <= 0.034
    assert len(load_test(spec, mirror=real_data, seed=42)) == 872


@pytest.mark.data
def test_describing_sst2_tells_what_its_splits_share(real_data: Path) -> None:
    made = describe_splits(DATASETS["sst2"], mirror=real_data, seed=42)
    assert made["train"].share_with_training_phrase is None
    assert made["validation"].share_with_training_phrase == 0.0
    test = made["test"].share_with_training_phrase
    assert test is not None
    assert 0.01 < test <= 0.034
