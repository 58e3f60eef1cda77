import pytest
import torch
from transformers import AutoModelForSequenceClassification, DistilBertConfig

from tune_sentiment.bottleneck import Bottleneck
from tune_sentiment.errors import UsageError
from tune_sentiment.methods.adapters import AdaptersHyperparameters, prepare


def hyper(**changes: object) -> AdaptersHyperparameters:
    values = {"bottleneck": 64, "placement": "ffn", "dropout": 0.1, **changes}
    return AdaptersHyperparameters(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("placement", "inserted"), [("ffn", 6), ("attention_ffn", 12)])
def test_distilbert_gets_one_or_two_adapters_a_layer(placement: str, inserted: int) -> None:
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(DistilBertConfig())
        prepare(model, hyper(placement=placement))
    assert sum(isinstance(m, Bottleneck) for m in model.modules()) == inserted
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == 592_130 + inserted * 99_136  # 768 * 64 * 2 + 64 + 768 = 99,136


def test_a_new_bottleneck_is_the_identity_and_a_trained_one_is_not() -> None:
    module = Bottleneck(8, 2, 0.5)
    hidden = torch.randn(3, 5, 8)
    assert torch.equal(module(hidden), hidden)
    torch.nn.init.normal_(module.up.weight)
    assert not torch.equal(module(hidden), hidden)


@pytest.mark.parametrize(
    ("name", "value"), [("bottleneck", 0), ("dropout", 1.0), ("placement", "attention")]
)
def test_a_value_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=name):
        hyper(**{name: value})
