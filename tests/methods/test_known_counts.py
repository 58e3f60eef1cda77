"""Parameter counts worked out elsewhere, on DistilBERT's and MiniLM's true shapes."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig

from tune_sentiment.methods import METHODS
from tune_sentiment.methods.bitfit import BitfitHyperparameters
from tune_sentiment.methods.full import FullHyperparameters
from tune_sentiment.methods.gradual import GradualHyperparameters
from tune_sentiment.methods.ia3 import Ia3Hyperparameters
from tune_sentiment.methods.lora import TARGETS, LoraHyperparameters
from tune_sentiment.structure import freeze_all_but_head, head_names, linear_names


def shaped(config: DistilBertConfig | BertConfig) -> torch.nn.Module:
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(config)


def trainable(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def prepared(method: str, model: torch.nn.Module, hyperparameters: object) -> torch.nn.Module:
    prepare = METHODS[method].prepare
    assert prepare is not None
    prepare(model, hyperparameters)
    return model


def lora(targets: str, rank: int = 8) -> LoraHyperparameters:
    return LoraHyperparameters(rank=rank, alpha_over_rank=2, dropout=0.1, targets=targets)


def test_full_fine_tuning_trains_all_of_distilbert() -> None:
    model = prepared("full", shaped(DistilBertConfig()), FullHyperparameters())
    assert trainable(model) == 66_955_010


def test_distilberts_head_is_its_pre_classifier_and_classifier() -> None:
    model = shaped(DistilBertConfig())
    freeze_all_but_head(model)
    assert head_names(model) == ["pre_classifier", "classifier"]
    assert trainable(model) == 592_130


def test_lora_of_rank_8_on_query_and_value() -> None:
    with torch.device("meta"):
        model = prepared("lora", shaped(DistilBertConfig()), lora("qv"))
    assert trainable(model) == 739_586


def test_dora_adds_a_magnitude_for_each_row_of_query_and_value() -> None:
    own = LoraHyperparameters(rank=8, alpha_over_rank=2, dropout=0.1, targets="qv", variant="dora")
    with torch.device("meta"):
        model = prepared("lora", shaped(DistilBertConfig()), own)
    assert trainable(model) == 739_586 + 6 * 2 * 768


def test_ia3_scales_keys_values_and_inner_activations() -> None:
    with torch.device("meta"):
        model = prepared("ia3", shaped(DistilBertConfig()), Ia3Hyperparameters())
    assert trainable(model) == 592_130 + 6 * (768 + 768 + 3072)


def test_bitfit_trains_every_bias_of_the_encoder() -> None:
    model = prepared("bitfit", shaped(DistilBertConfig()), BitfitHyperparameters())
    # each layer: four attention maps, 3072 inner, one outer, two norms; then the embeddings' norm
    assert trainable(model) == 592_130 + 6 * (4 * 768 + 3072 + 768 + 2 * 768) + 768


def test_gradual_unfreezing_trains_all_in_the_end() -> None:
    own = GradualHyperparameters(unfreezing_ratio=0.5)
    model = prepared("gradual", shaped(DistilBertConfig()), own)
    assert trainable(model) == 66_955_010


def test_the_pooler_of_a_bert_belongs_to_its_head() -> None:
    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    model = shaped(config)
    freeze_all_but_head(model)
    assert trainable(model) == 147_840 + 384 * 2 + 2


@pytest.mark.parametrize(("targets", "per_layer"), [("qv", 2), ("qkvo", 4), ("all", 6)])
def test_targets_name_that_many_maps_of_each_layer(targets: str, per_layer: int) -> None:
    for config in (DistilBertConfig(), BertConfig(num_hidden_layers=6)):
        names = linear_names(shaped(config), TARGETS[targets])
        assert len(names) == len(set(names)) == per_layer * 6
