import numpy as np
import pytest

from tune_sentiment.backbone import Backbone
from tune_sentiment.data import load_train_val
from tune_sentiment.datasets_table import DATASETS
from tune_sentiment.explore import SEARCHED_TEXTS, searched_subset
from tune_sentiment.features import frozen_features
from tune_sentiment.neighbours import encode, nearest
from tune_sentiment.splits import Split
from tune_sentiment.tokens import token_lengths, tokenise


def test_the_nearest_by_cosine_ignore_length() -> None:
    vectors = np.array([[0, 2], [-3, 0], [5, 5], [0.1, 0]], dtype=np.float32)
    found = nearest(np.array([10, 0], dtype=np.float32), vectors, 3)
    assert [item for item, _ in found] == [3, 2, 0]
    assert [similarity for _, similarity in found] == pytest.approx([1, 0.5**0.5, 0])


def test_a_text_is_encoded_as_in_a_search(backbone: Backbone) -> None:
    texts = ["a lovely film", "warm and funny, and very long indeed"]
    expected = backbone.tokenizer()(texts, truncation=True, max_length=8)["input_ids"]
    made = encode(backbone, texts, 8)
    assert [found.ids for found in made] == expected
    assert [found.attention_mask for found in made] == [[1] * len(ids) for ids in expected]
    assert [found.shape for found in made] == [(1, len(ids), 32) for ids in expected]
    tokens = tokenise(backbone, texts, np.zeros(2, dtype=np.int64), 8)
    features = frozen_features(backbone, tokens, "cpu").pooled["cls"]
    np.testing.assert_allclose([found.vector for found in made], features, atol=1e-5)
    whole = token_lengths(backbone, texts)
    assert [found.num_cut for found in made] == [0, whole[1] - 8]
    assert made[1].num_cut > 0


def test_the_texts_compared_are_those_of_a_search_of_the_same_size() -> None:
    whole, _ = load_train_val(DATASETS["demo"], mirror=None, train_samples=None, seed=7)
    subset, _ = load_train_val(DATASETS["demo"], mirror=None, train_samples=100, seed=7)
    assert searched_subset(whole, 100, 7).texts == subset.texts
    assert searched_subset(whole, None, 7) is whole


@pytest.mark.parametrize("rare", [1, 1_500])
def test_a_large_split_is_compared_in_part(rare: int) -> None:
    labels = np.array([1] * rare + [0] * (2_500 - rare))
    train = Split([f"text {i}" for i in range(2_500)], labels)
    made = searched_subset(train, None, 1)
    assert len(set(made.texts)) == SEARCHED_TEXTS
    places = [int(text.split()[1]) for text in made.texts]
    assert places == sorted(places)
    assert made.labels.tolist() == labels[places].tolist()
