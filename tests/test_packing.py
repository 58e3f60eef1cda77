import copy

import numpy as np
import pytest
import torch

from tests.methods.test_contract import CLASSES, ON_TOKENS, setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.packing import PACKED, logits_of
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import TrainState, fit
from tune_sentiment.trial_setup import build_model, build_state


def test_packed_texts_get_the_logits_of_padded_ones(backbone: Backbone, eight: Tokens) -> None:
    model = backbone.classifier(CLASSES).eval()
    items = np.array([5, 0, 3])
    assert len(set(eight.lengths[items])) > 1
    with torch.inference_mode():
        expected = model(**eight.batch(items)).logits
        model.set_attn_implementation(PACKED)
        found = logits_of(model, eight.batch(items, PACKED))
        torch.testing.assert_close(model(**eight.batch(items)).logits, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ON_TOKENS)
def test_packed_texts_give_the_gradients_of_padded_ones(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    model, _ = build_model(setup_for(method, backbone), start_of(method), seed=3)
    other = copy.deepcopy(model)
    model.eval()  # without dropout
    other.eval()
    other.set_attn_implementation(PACKED)
    items = np.arange(len(eight))
    model(**eight.batch(items)).logits.square().sum().backward()
    logits_of(other, eight.batch(items, PACKED)).square().sum().backward()
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("method", ON_TOKENS)
def test_packing_changes_no_loss_of_a_training(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    curves = []
    for padding in ("dynamic", PACKED):
        setup = setup_for(method, backbone, padding=padding, max_epochs=4)
        params = start_of(method, lr=1e-3, batch_size=3, warmup_ratio=0.0)
        state: TrainState = build_state(setup, params, 3, eight)
        for module in state.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        curves.append([loss for e in fit(state, eight, eight) for loss in e.train_loss_curve])
    packed = np.array(curves[1])
    assert len(packed) == 4 * 3
    assert packed.std() > 0.01
    np.testing.assert_allclose(packed, curves[0], rtol=0, atol=1e-4)
