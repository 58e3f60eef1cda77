import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from tune_sentiment.backbone import Backbone
from tune_sentiment.dropout import CheapDropout, cheapen_dropout, dropped, kept

COUNT = 1_000_003  # not a multiple of four


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_were_asked_for(probability: float) -> None:
    torch.manual_seed(0)
    factors = kept(torch.empty(COUNT), probability)
    assert factors.unique().tolist() == pytest.approx([0.0, 1 / (1 - probability)])
    gone = int((factors == 0).sum())
    assert stats.binomtest(gone, COUNT, probability).pvalue > 0.001
    assert float(factors.mean()) == pytest.approx(1.0, abs=0.02)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(1)
    gone = (kept(torch.empty(COUNT), 0.3) == 0).numpy()
    for distance in (1, 2, 3, 4, 8):  # four share a draw
        both = np.mean(gone[:-distance] & gone[distance:])
        assert both == pytest.approx(0.09, abs=0.002)


def test_the_seed_decides_which_and_every_call_draws_anew() -> None:
    torch.manual_seed(2)
    first, second = (kept(torch.empty(7, 11), 0.5) for _ in range(2))
    torch.manual_seed(2)
    assert torch.equal(kept(torch.empty(7, 11), 0.5), first)
    assert not torch.equal(first, second)


def test_a_dropped_element_gets_no_gradient_and_a_kept_one_is_scaled() -> None:
    x = torch.ones(200, requires_grad=True)
    out = dropped(x, 0.25)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())
    assert 100 < int((x.grad > 0).sum()) < 200
    assert dropped(x, 0.0) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_module_drops_while_training_only(dtype: torch.dtype) -> None:
    module, x = CheapDropout(0.5), torch.ones(50, 20, dtype=dtype)
    assert torch.equal(module.eval()(x), x)
    out = module.train()(x)
    assert out.dtype is dtype
    assert 0 < float(out.eq(0).float().mean()) < 1


def test_every_dropout_of_a_model_is_replaced_and_keeps_its_probability(backbone: Backbone) -> None:
    model = backbone.classifier(("a", "b"))
    before = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    names = set(model.state_dict())
    cheapen_dropout(model)
    found = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert before
    assert [m.p for m in found] == before
    assert all(type(m) is CheapDropout for m in found)
    assert set(model.state_dict()) == names
