"""Bottleneck adapters in place (Houlsby et al., 2019, https://arxiv.org/abs/1902.00751).

``ffn`` puts one behind each feed-forward block (Pfeiffer et al., 2021), ``attention_ffn`` another
behind each attention block, both before the residual connection.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tune_sentiment.errors import require, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLACEMENTS = {"ffn": ("ff_out",), "attention_ffn": ("out", "ff_out")}


@dataclass(frozen=True, kw_only=True)
class AdaptersHyperparameters:
    """What is inserted, and where.

    Args:
        bottleneck: Inner size, ``>= 1``.
        placement: ``ffn`` or ``attention_ffn``.
        dropout: Probability inside the bottleneck, ``[0, 1)``.

    Raises:
        UsageError: If a value is out of its range.
    """

    bottleneck: int
    placement: str
    dropout: float

    def __post_init__(self) -> None:
        require(self.bottleneck >= 1, "bottleneck >= 1", self.bottleneck)
        require(0 <= self.dropout < 1, "0 <= dropout < 1", self.dropout)
        if self.placement not in PLACEMENTS:
            raise unknown("placement", self.placement, PLACEMENTS, plural="Placements")


def prepare(model: "PreTrainedModel", hyperparameters: AdaptersHyperparameters) -> None:
    """Insert a bottleneck behind the chosen linear maps; they and the head train."""
    from torch import nn

    from tune_sentiment.bottleneck import Bottleneck
    from tune_sentiment.structure import freeze_all_but_head, linear_names

    freeze_all_but_head(model)
    width = model.config.hidden_size
    for name in linear_names(model, PLACEMENTS[hyperparameters.placement]):
        linear = model.get_submodule(name)
        adapter = Bottleneck(width, hyperparameters.bottleneck, hyperparameters.dropout)
        model.set_submodule(name, nn.Sequential(linear, adapter))
