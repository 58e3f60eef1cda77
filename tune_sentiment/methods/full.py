"""Full fine-tuning: every parameter of the encoder and the head trains (Devlin et al., 2019)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class FullHyperparameters:
    """Full fine-tuning has no hyperparameters beyond those of the training loop."""


def prepare(model: "PreTrainedModel", hyperparameters: FullHyperparameters) -> None:
    """Let every parameter train."""
    model.requires_grad_(True)
