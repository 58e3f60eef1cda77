import numpy as np
import torch

from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.injection import merge
from tune_sentiment.tokens import Tokens
from tune_sentiment.trial_setup import build_model, build_state


def test_merging_keeps_the_logits(backbone: Backbone, eight: Tokens) -> None:
    model, _ = build_model(setup_for("ia3", backbone), start_of("ia3"), seed=3)
    changed = 0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ia3_l" in name:
                parameter.uniform_(0.5, 1.5)
                changed += 1
    assert changed == 6  # key, value and inner feed-forward activation of two layers
    batch = eight.batch(np.arange(len(eight)))
    model.eval()
    with torch.inference_mode():
        before = model(**batch).logits
        merge(model)
        after = model(**batch).logits
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_factors_that_start_at_one_do_not_decay_to_zero(tiny: Backbone, eight: Tokens) -> None:
    state = build_state(setup_for("ia3", tiny), start_of("ia3", weight_decay=0.1), 3, eight)
    factors = {id(p) for n, p in state.model.named_parameters() if "ia3_l" in n}
    assert len(factors) == 6
    for group in state.optimizer.param_groups:
        if factors & {id(p) for p in group["params"]}:
            assert group["weight_decay"] == 0.0
