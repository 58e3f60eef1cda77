"""Gradual unfreezing: the head first, then one layer more at a time, from the top.

Howard and Ruder, 2018, https://arxiv.org/abs/1801.06146, section 3.3, who thaw a layer each epoch;
here the layers are spread over a share of the training, so that few epochs reach them all.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tune_sentiment.errors import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class GradualHyperparameters:
    """When the layers begin to train.

    Args:
        unfreezing_ratio: Share of all planned steps after which everything trains, the embeddings
            last, ``(0, 1)``.

    Raises:
        UsageError: If a value is out of its range.
    """

    unfreezing_ratio: float

    def __post_init__(self) -> None:
        ratio = self.unfreezing_ratio
        require(0 < ratio < 1, "0 < unfreezing_ratio < 1", ratio)


def prepare(model: "PreTrainedModel", hyperparameters: GradualHyperparameters) -> None:
    """Let every parameter train, in its time."""
    from tune_sentiment.frost import Frost

    model.requires_grad_(True)
    Frost.lay(model)


def on_step(
    model: "PreTrainedModel", hyperparameters: GradualHyperparameters, share: float
) -> None:
    """Thaw what trains from now on.

    Args:
        model: A prepared one.
        hyperparameters: Its method's.
        share: Of all planned steps that is done, ``[0, 1]``.
    """
    from tune_sentiment.frost import Frost

    frost = Frost.of(model)
    frost.thawed = int(share / hyperparameters.unfreezing_ratio * frost.parts)
