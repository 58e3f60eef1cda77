"""The GPU's benchmark, as far as a machine without one can run it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.corpus import MODEL, Corpus
from benchmarks.harness import OURS
from benchmarks.peers.trainer import model_for
from benchmarks.step_rate import DYNAMIC, Training, beside_trainer
from tests.conftest import BAD, GOOD
from tune_sentiment.backbone import load_backbone
from tune_sentiment.splits import Split
from tune_sentiment.tokens import tokenise
from tune_sentiment.trial_setup import build_model

SPEED = 100.0  # GFLOP/s
pytestmark = pytest.mark.filterwarnings(  # PEFT asks for it
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
)


@pytest.fixture(scope="module")
def eight() -> Corpus:
    backbone = load_backbone(MODEL)
    split = Split(tuple([*GOOD, *BAD]), np.array([1] * 4 + [0] * 4))
    tokens = tokenise(backbone, split.texts, split.labels, 512)
    return Corpus("eight", backbone, split, split, tokens, tokens)


@pytest.fixture(scope="module")
def true_size(eight: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return gpu.with_true_size(eight, tmp_path_factory.mktemp("encoder"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_one_row_says_so() -> None:
    (row,) = gpu.run(quick=False, say=print)
    assert row["missing"] == "no GPU was found"


def test_the_stand_in_has_distilberts_true_size_and_the_same_texts(
    eight: Corpus, true_size: Corpus
) -> None:
    model = true_size.backbone.classifier(("a", "b"))
    assert sum(p.numel() for p in model.base_model.parameters()) == 66_362_880
    assert np.array_equal(true_size.train_tokens.ids, eight.train_tokens.ids)


def test_both_sides_train_as_many_parameters(eight: Corpus, true_size: Corpus) -> None:
    for data in (eight, true_size):
        for _, ours in list(gpu.trainings("cpu", "encoder", data))[:: len(gpu.BATCH_SIZES)]:
            model, _ = build_model(ours.setup, ours.params, seed=0)
            theirs = model_for(data.backbone, ours.setup.method, ours.params)
            counts = [
                sum(p.numel() for p in side.parameters() if p.requires_grad)
                for side in (model, theirs)
            ]
            assert counts[0] == counts[1]


def test_a_training_in_bf16_is_measured_beside_the_trainers(eight: Corpus, tmp_path: Path) -> None:
    what, ours = next(gpu.trainings("cpu", MODEL, eight))
    assert isinstance(ours, Training)
    more = gpu.on_device("cpu")
    rows = beside_trainer(what, ours, tmp_path, 1, SPEED, print, **more)
    assert what == "lora, minilm, batch size 16"
    assert rows[0]["peer"] == DYNAMIC
    assert rows[0]["costs"][OURS][0] > 0
    assert rows[0]["limit_fraction"] > 0
