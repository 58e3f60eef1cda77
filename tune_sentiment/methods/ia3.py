"""IA3: a learned factor for each key, value and inner feed-forward activation (Liu et al., 2022).

https://arxiv.org/abs/2205.05638, section 3.3. The vectors start at one, so a new model computes
what the old one did; they come from peft by injection.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class Ia3Hyperparameters:
    """IA3 has no hyperparameters beyond those of the training loop."""


def prepare(model: "PreTrainedModel", hyperparameters: Ia3Hyperparameters) -> None:
    """Scale what keys, values and the inner feed-forward layer give; vectors and head train."""
    from peft import IA3Config

    from tune_sentiment.injection import inject
    from tune_sentiment.structure import linear_names

    inner = linear_names(model, ["ff_out"])  # the inner activations are what this map reads
    attention = linear_names(model, ["k", "v"])
    inject(model, IA3Config(target_modules=[*attention, *inner], feedforward_modules=inner))


def decays(name: str) -> bool:
    """Whether a matrix is drawn towards zero: the factors, which start at one, are not."""
    return ".ia3_l." not in name
