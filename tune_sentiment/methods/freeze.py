"""Frozen backbone: only the head trains, on features that the encoder computed once.

The encoder is in evaluation mode and never runs twice on a sentence (feature-based tuning, Peters
et al., 2019, https://arxiv.org/abs/1903.05987).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class FreezeHyperparameters:
    """A frozen backbone has no hyperparameters beyond those of the training loop."""


def prepare(model: "PreTrainedModel", hyperparameters: FreezeHyperparameters) -> None:
    """Leave only the head trainable, and let it read cached states."""
    from tune_sentiment.cached_encoder import take_out_encoder
    from tune_sentiment.structure import freeze_all_but_head

    freeze_all_but_head(model)
    take_out_encoder(model)


def merge(model: "PreTrainedModel") -> None:
    """Put the encoder back, so that the model reads tokens."""
    from tune_sentiment.cached_encoder import put_back_encoder

    put_back_encoder(model)
