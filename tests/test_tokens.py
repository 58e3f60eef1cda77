import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import RobertaConfig, RobertaModel

from tests.conftest import BAD, GOOD
from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.tokens import (
    Tokens,
    scoring_batches,
    token_lengths,
    tokenise,
    training_batches,
)

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1_003)


def test_a_batch_is_what_the_tokenizer_pads(tiny: Backbone, eight: Tokens) -> None:
    expected = tiny.tokenizer()(GOOD + BAD, padding=True, return_tensors="pt")
    made = eight.batch(np.arange(len(eight)))
    assert set(made) == {"input_ids", "attention_mask"}
    for name, tensor in made.items():
        assert (tensor == expected[name]).all()


def test_fixed_padding_widens_a_batch_and_masks_the_rest(eight: Tokens) -> None:
    made = eight.batch(np.array([0, 3]), "fixed")
    assert made["input_ids"].shape == (2, 32)
    assert made["attention_mask"].sum(1).tolist() == eight.lengths[[0, 3]].tolist()


def test_long_texts_are_truncated(tiny: Backbone) -> None:
    made = tokenise(tiny, ["good " * 700, "bad"], np.array([1, 0]), 16)
    assert made.lengths.tolist() == [16, 3]
    assert tokenise(tiny, ["good " * 700], np.array([1]), 10_000).lengths.tolist() == [512]


def test_lengths_are_those_of_whole_texts(tiny: Backbone) -> None:
    assert token_lengths(tiny, ["good " * 700, "bad"]).tolist() == [702, 3]


def test_a_roberta_reads_no_further_than_its_positions(
    tiny: Backbone, families: dict[str, Backbone], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(families["roberta"].folder, tmp_path / "short"))
    config = RobertaConfig.from_pretrained(folder)
    config.max_position_embeddings, config.pad_token_id = 40, 1
    torch.manual_seed(0)
    RobertaModel(config).save_pretrained(folder)
    short = load_backbone(str(folder))
    made = tokenise(short, ["good " * 100, "bad"], np.array([1, 0]), 512)
    assert made.lengths.tolist() == [38, 3]
    with torch.inference_mode():
        assert short.classifier(("a", "b"))(**made.batch(np.arange(2))).logits.isfinite().all()


@pytest.mark.parametrize("padding", ["bucketed", "dynamic", "fixed"])
@pytest.mark.parametrize("batch_size", [16, 1_003, 4_000])
def test_every_item_is_seen_once_an_epoch(padding: str, batch_size: int) -> None:
    batches = training_batches(LENGTHS, batch_size, padding, seed=1, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(LENGTHS)))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert len(batches) == -(-len(LENGTHS) // batch_size)


@pytest.mark.parametrize("padding", ["bucketed", "dynamic"])
def test_order_depends_on_seed_and_epoch_alone(padding: str) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = training_batches(LENGTHS, 16, padding, seed, epoch)
        return [int(item) for item in np.concatenate(batches)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def padded(padding: str) -> int:
    batches = training_batches(LENGTHS, 16, padding, seed=1, epoch=0)
    return sum(int(LENGTHS[batch].max()) * len(batch) for batch in batches)


def test_bucketed_batches_pad_less_and_are_not_sorted_as_a_whole() -> None:
    assert padded("bucketed") < 0.75 * padded("dynamic")
    batches = training_batches(LENGTHS, 16, "bucketed", seed=1, epoch=0)
    longest = [int(LENGTHS[batch].max()) for batch in batches]
    assert longest != sorted(longest)


def test_scoring_sees_every_item_once() -> None:
    assert sorted(np.concatenate(list(scoring_batches(LENGTHS, 64))).tolist()) == list(
        range(len(LENGTHS))
    )
