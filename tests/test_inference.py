from pathlib import Path

import pytest
from safetensors.numpy import save_file

from tests.methods.test_contract import inputs_for, proposal_for, setup_for
from tune_sentiment.backbone import Backbone
from tune_sentiment.inference import FIELDS, inference_cost
from tune_sentiment.methods import METHODS
from tune_sentiment.reports import Objective, evaluations_of
from tune_sentiment.tokens import Tokens


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_a_measured_cost_and_what_can_be_merged_has_two(
    method: str, tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    setup, proposal = setup_for(method, tiny), proposal_for(method)
    inputs = inputs_for(method, tiny, eight)
    *_, last = evaluations_of(setup, proposal, inputs, inputs, Objective("max"))
    save_file(last.classifier.tensors(), tmp_path / "run.safetensors")
    found = inference_cost(setup, proposal, tmp_path / "run.safetensors", eight)
    assert tuple(found) == FIELDS
    assert found.pop("inference_device") == "cpu"
    measured = {name for name, value in found.items() if value is not None and value > 0}
    both = set(FIELDS[:4]) if method in ("lora", "ia3") else set(FIELDS[:2])
    assert measured == both
