from typing import Any

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer

from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.errors import UsageError
from tune_sentiment.injection import merge
from tune_sentiment.methods.lora import VARIANTS, LoraHyperparameters, prepare
from tune_sentiment.structure import linear_names
from tune_sentiment.tokens import Tokens
from tune_sentiment.trial_setup import build_state


def hyper(**changes: Any) -> LoraHyperparameters:
    values = {"rank": 4, "alpha_over_rank": 2, "dropout": 0.1, "targets": "all", **changes}
    return LoraHyperparameters(**values)


def test_there_are_four_variants() -> None:
    assert set(VARIANTS) == {"lora", "rslora", "dora", "pissa"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_new_adapter_of_any_variant_changes_nothing(
    variant: str, backbone: Backbone, eight: Tokens
) -> None:
    model = backbone.classifier(("negative", "positive")).eval()
    batch = eight.batch(np.arange(len(eight)))
    with torch.inference_mode():
        expected = model(**batch).logits
        prepare(model, hyper(variant=variant))
        made = model.eval()(**batch).logits
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_merging_keeps_the_logits_and_leaves_a_plain_model(
    variant: str, backbone: Backbone, eight: Tokens
) -> None:
    model = backbone.classifier(("negative", "positive"))
    names = set(model.state_dict())
    prepare(model, hyper(variant=variant))
    torch.manual_seed(0)
    changed = 0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter += torch.randn_like(parameter) / 4
                changed += 1
    assert changed == 12
    batch = eight.batch(np.arange(len(eight)))
    model.eval()
    with torch.inference_mode():
        before = model(**batch).logits
        merge(model)
        after = model(**batch).logits
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    assert set(model.state_dict()) == names


def test_the_scale_does_not_change_with_the_rank(tiny: Backbone) -> None:
    scales = set()
    for rank in (4, 16):
        model = tiny.classifier(("negative", "positive"))
        hyper = LoraHyperparameters(rank=rank, alpha_over_rank=2, dropout=0.0, targets="qv")
        prepare(model, hyper)
        scales |= {
            m.scaling["default"]
            for m in model.modules()
            if hasattr(m, "scaling") and isinstance(m.scaling, dict)
        }
    assert scales == {2.0}


def test_the_scale_of_rslora_grows_with_the_root_of_the_rank(tiny: Backbone) -> None:
    model = tiny.classifier(("negative", "positive"))
    prepare(model, hyper(rank=16, variant="rslora"))
    scales = {m.scaling["default"] for m in model.modules() if isinstance(m, LoraLayer)}
    assert scales == {8.0}  # alpha / sqrt(rank) = 32 / 4


def test_dora_trains_a_magnitude_for_each_row(tiny: Backbone) -> None:
    counts = []
    for variant in ("lora", "dora"):
        model = tiny.classifier(("negative", "positive"))
        prepare(model, hyper(targets="qv", variant=variant))
        counts.append(sum(p.numel() for p in model.parameters() if p.requires_grad))
    assert counts[1] - counts[0] == 2 * 2 * tiny.classifier(("a", "b")).config.hidden_size


def test_pissa_starts_from_the_largest_singular_values(tiny: Backbone) -> None:
    plain = tiny.classifier(("negative", "positive"))
    name = linear_names(plain, ["q"])[0]
    largest = torch.linalg.svdvals(plain.get_submodule(name).weight)[:4]
    prepare(plain, hyper(targets="qv", variant="pissa", alpha_over_rank=1))
    layer: Any = plain.get_submodule(name)
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(torch.linalg.svdvals(product)[:4], largest, rtol=1e-3, atol=1e-5)


def test_pissa_of_a_larger_rank_than_a_map_has_is_refused(tiny: Backbone) -> None:
    model = tiny.classifier(("negative", "positive"))
    with pytest.raises(UsageError, match="rank <= 32 must hold, got 64"):
        prepare(model, hyper(rank=64, variant="pissa"))


def test_lora_of_rank_one_decays_like_any_other(tiny: Backbone, eight: Tokens) -> None:
    state = build_state(setup_for("lora", tiny), start_of("lora", rank=1), 1, eight)
    pairs = {id(p) for n, p in state.model.named_parameters() if ".lora_" in n}
    assert pairs
    for group in state.optimizer.param_groups:
        if pairs & {id(p) for p in group["params"]}:
            assert group["weight_decay"] > 0


def test_lora_plus_moves_b_faster_than_a(tiny: Backbone, eight: Tokens) -> None:
    setup = setup_for("lora", tiny)
    start = start_of("lora", lr=1e-3, b_lr_over_a_lr=16.0, head_lr_over_lr=3)
    state = build_state(setup, start, 1, eight)
    rates = {}
    for name, parameter in state.model.named_parameters():
        for group in state.optimizer.param_groups:
            if any(parameter is mine for mine in group["params"]):
                rates[name] = group["initial_lr"]
    assert len(rates) > 8
    for name, rate in rates.items():
        factor = 16 if ".lora_B." in name else 1 if ".lora_A." in name else 3
        assert rate == pytest.approx(1e-3 * factor)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rank", 0),
        ("rank", -4),
        ("alpha_over_rank", 0),
        ("dropout", 1.0),
        ("targets", "qkv"),
        ("variant", "dura"),
        ("b_lr_over_a_lr", 0.0),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(name: str, value: object) -> None:
    good = {"rank": 8, "alpha_over_rank": 2, "dropout": 0.1, "targets": "qv"}
    with pytest.raises(UsageError, match=name):
        LoraHyperparameters(**{**good, name: value})  # type: ignore[arg-type]
