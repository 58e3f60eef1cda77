from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.errors import UsageError
from tune_sentiment.methods.gradual import GradualHyperparameters
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


@pytest.mark.parametrize("ratio", [0.0, 1.0, float("nan")])
def test_a_share_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match="unfreezing_ratio"):
        GradualHyperparameters(unfreezing_ratio=ratio)
