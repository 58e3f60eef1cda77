import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear

from tune_sentiment.low_rank import LowRankLinear


def made(kind: type[Linear], dropout: float, bias: bool) -> Linear:
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=12, lora_dropout=dropout, init_lora_weights=False)
    layer = kind(torch.nn.Linear(10, 6, bias=bias), "default", config=config, r=4, lora_alpha=12)
    layer.get_base_layer().requires_grad_(False)
    return layer.double()


def results(layer: Linear, x: torch.Tensor) -> list[torch.Tensor]:
    torch.manual_seed(2)  # of the dropout
    x = x.clone().requires_grad_()
    out = layer(x)
    (out * torch.arange(out.numel()).view_as(out)).sum().backward()
    grads = [p.grad for p in layer.parameters() if p.requires_grad]
    assert len(grads) == 2
    return [out, x.grad, *grads]  # type: ignore[list-item]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 10), (3, 5, 10)])
def test_it_computes_what_pefts_own_layer_does(shape: tuple[int, ...], bias: bool) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    ours, theirs = made(LowRankLinear, 0.0, bias), made(Linear, 0.0, bias)
    for is_training in (True, False):
        expected = results(theirs.train(is_training), x)
        found = results(ours.train(is_training), x)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)
        ours.zero_grad(), theirs.zero_grad()


def test_dropout_stands_before_a_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = torch.tensor([0.0, 2.0] * 35, dtype=torch.float64).view(7, 10)
    monkeypatch.setattr("tune_sentiment.low_rank.kept", lambda like, probability: factors)
    layer = made(LowRankLinear, 0.5, True).train()
    x = torch.randn(7, 10, dtype=torch.float64)
    out, gradient, *_ = results(layer, x)
    low = (x * factors) @ layer.lora_A["default"].weight.T @ layer.lora_B["default"].weight.T
    torch.testing.assert_close(out, layer.get_base_layer()(x) + 3 * low)
    upstream = torch.arange(out.numel(), dtype=torch.float64).view_as(out)
    through = upstream @ layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    expected = upstream @ layer.get_base_layer().weight + 3 * through * factors
    torch.testing.assert_close(gradient, expected)


def test_its_gradients_are_those_of_its_values() -> None:
    layer = made(LowRankLinear, 0.0, True)
    x = torch.randn(5, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_under_autocast_pefts_own_way_is_taken() -> None:
    ours = made(LowRankLinear, 0.0, True).float()
    theirs = made(Linear, 0.0, True).float()
    x = torch.randn(3, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(x), theirs(x))
        assert ours(x).dtype is torch.bfloat16
