"""BitFit: only the biases and the head train (Ben Zaken et al., 2022).

https://arxiv.org/abs/2106.10199; all bias terms of the encoder, those of its norms included.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class BitfitHyperparameters:
    """BitFit has no hyperparameters beyond those of the training loop."""


def prepare(model: "PreTrainedModel", hyperparameters: BitfitHyperparameters) -> None:
    """Leave biases and the head trainable."""
    from tune_sentiment.structure import freeze_all_but_head

    freeze_all_but_head(model)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.requires_grad_(True)
