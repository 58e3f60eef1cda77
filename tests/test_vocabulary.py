from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import TrainState, fit
from tune_sentiment.trial_setup import TrialSetup, build_model, build_state
from tune_sentiment.vocabulary import SeenEmbedding, widen

STEPS = 3


class AllWords(Tokens):
    """Tokens that don't say which words they have."""

    vocabulary = None  # type: ignore[assignment]


def trained(setup: TrialSetup, params: dict[str, Any], tokens: Tokens) -> Any:
    """The model after a few steps on all items, without dropout."""
    state: TrainState = build_state(setup, params, 3, tokens)
    assert (tokens.vocabulary is None) != has_own_words(state.model)
    state.model.eval()
    for _ in range(STEPS):
        state.take_step(tokens, np.arange(len(tokens)))
    widen(state.model)
    assert not has_own_words(state.model)
    return state.model


def has_own_words(model: Any) -> bool:
    return any(isinstance(module, SeenEmbedding) for module in model.modules())


@pytest.mark.parametrize("padding", ["dynamic", "packed"])
def test_training_its_own_words_alone_changes_nothing(
    padding: str, backbone: Backbone, eight: Tokens
) -> None:
    setup = setup_for("full", backbone, padding=padding, max_epochs=5)
    params = start_of("full", lr=0.01, weight_decay=0.5, warmup_ratio=0.0)
    everything = AllWords(eight.ids, eight.offsets, eight.labels, eight.pad_id, eight.max_length)
    expected, found = trained(setup, params, everything), trained(setup, params, eight)
    for (name, a), b in zip(expected.named_parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6, msg=name)
    rows, before = (m.get_input_embeddings().weight for m in (found, backbone.classifier("ab")))
    unseen = np.setdiff1d(np.arange(len(rows)), eight.vocabulary)
    shrunk = (rows[unseen] / before[unseen]).nanmedian()
    assert 0.98 < shrunk < 0.99  # three steps of about 0.5 x 0.01


def test_what_is_evaluated_and_kept_knows_all_words(tiny: Backbone, eight: Tokens) -> None:
    state = build_state(setup_for("full", tiny), start_of("full"), 3, eight)
    size = len(tiny.classifier(("a", "b")).get_input_embeddings().weight)
    sizes = []
    for evaluation in fit(state, eight, eight):
        classifier: Any = evaluation.classifier
        sizes.append(len(classifier.model.get_input_embeddings().weight))
        kept = classifier.tensors()
        assert size in {len(tensor) for tensor in kept.values()}
    assert sizes == [size, size]
    assert len(state.model.get_input_embeddings().weight) == size


@pytest.mark.parametrize("method", ["lora", "adapters", "freeze"])
def test_embeddings_that_do_not_train_stay_whole(
    method: str, tiny: Backbone, eight: Tokens
) -> None:
    model, _ = build_model(setup_for(method, tiny), start_of(method), seed=3)
    if method != "freeze":
        build_state(setup_for(method, tiny), start_of(method), 3, eight)
    assert not has_own_words(model)
