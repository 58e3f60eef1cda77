import numpy as np
import pytest
import torch

from tune_sentiment.backbone import Backbone
from tune_sentiment.errors import UsageError
from tune_sentiment.methods.lora import LoraHyperparameters, merge, prepare
from tune_sentiment.tokens import Tokens


def test_merging_keeps_the_logits_and_leaves_a_plain_model(
    backbone: Backbone, eight: Tokens, tmp_path: object
) -> None:
    model = backbone.classifier(("negative", "positive"))
    names = set(model.state_dict())
    prepare(model, LoraHyperparameters(rank=4, alpha_over_rank=2, dropout=0.1, targets="all"))
    torch.manual_seed(0)
    changed = 0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
                changed += 1
    assert changed == 12
    batch = eight.batch(np.arange(len(eight)))
    model.eval()
    with torch.inference_mode():
        before = model(**batch).logits
        merge(model)
        after = model(**batch).logits
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
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


@pytest.mark.parametrize(
    ("name", "value"),
    [("rank", 0), ("rank", -4), ("alpha_over_rank", 0), ("dropout", 1.0), ("targets", "qkv")],
)
def test_a_value_out_of_range_is_refused_with_its_name(name: str, value: object) -> None:
    good = {"rank": 8, "alpha_over_rank": 2, "dropout": 0.1, "targets": "qv"}
    with pytest.raises(UsageError, match=name):
        LoraHyperparameters(**{**good, name: value})  # type: ignore[arg-type]
