from typing import Any

import numpy as np
import pytest
import torch

from search_spaces import SPACES
from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.cost import calibrate
from tune_sentiment.errors import UsageError
from tune_sentiment.frost import Frost
from tune_sentiment.methods import METHODS
from tune_sentiment.methods.gradual import GradualHyperparameters
from tune_sentiment.scheduler import scheduler_settings
from tune_sentiment.structure import head_names, layers_of
from tune_sentiment.tokens import Tokens
from tune_sentiment.trial_setup import build_state


def part_of(model: Any, name: str) -> str:
    """Which of its parts a parameter belongs to: head, layer 1, layer 0 or embeddings."""
    if name.startswith(tuple(f"{head}." for head in head_names(model))):
        return "head"
    for index, layer in enumerate(layers_of(model)):
        if name.startswith(layer.q.split(f".{index}.")[0] + f".{index}."):
            return f"layer {index}"
    return "embeddings"


def test_the_layers_begin_to_train_one_by_one_from_the_top(
    backbone: Backbone, eight: Tokens
) -> None:
    params = start_of("gradual", lr=1e-3, unfreezing_ratio=0.75, weight_decay=0.1)
    state = build_state(setup_for("gradual", backbone, max_epochs=4), params, 3, eight)
    state.model.train()
    moved = []
    for _ in range(4):  # of four planned steps: thawed are 0, 1, 2 and, from 0.75 on, 3 parts
        before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
        state.take_step(eight, np.arange(len(eight)))
        now = {n for n, p in state.model.named_parameters() if not torch.equal(p, before[n])}
        moved.append({part_of(state.model, name) for name in now})
    parts = ["head", "layer 1", "layer 0", "embeddings"]
    assert moved == [set(parts[: count + 1]) for count in range(4)]


def test_the_forecast_times_a_step_in_which_all_trains(tiny: Backbone, eight: Tokens) -> None:
    setup = setup_for("gradual", tiny)
    built: list[Any] = []

    def noting(*arguments: Any) -> Any:
        built.append(build_state(*arguments))
        return built[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune_sentiment.trial_setup.build_state", noting)
        calibrate(setup, start_of("gradual"), 3, eight)
    assert Frost.of(built[0].model).thawed >= Frost.of(built[0].model).parts


def test_asha_waits_until_everything_may_train() -> None:
    longest = SPACES["gradual"].distributions()["unfreezing_ratio"].high
    assert "unfreezing_ratio" in METHODS["gradual"].settling
    assert scheduler_settings(4, 1, longest)["grace_period"] == 2


@pytest.mark.parametrize("ratio", [0.0, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match="unfreezing_ratio"):
        GradualHyperparameters(unfreezing_ratio=ratio)
