"""Low-rank adaptation of linear maps (Hu et al., 2022, https://arxiv.org/abs/2106.09685, eq. 3).

The adapters come from peft by injection, so the model keeps its class and its module names.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune_sentiment.errors import require, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TARGETS = {  # the linear maps of a layer that each word stands for
    "qv": ("q", "v"),
    "qkvo": ("q", "k", "v", "out"),
    "all": ("q", "k", "v", "out", "ff_in", "ff_out"),
}


@dataclass(frozen=True, kw_only=True)
class LoraHyperparameters:
    """What LoRA adds to a linear map: ``h + alpha / rank * B A dropout(x)``.

    Args:
        rank: Rows of A, ``>= 1``.
        alpha_over_rank: The factor before ``B A``, ``> 0``.
        dropout: Probability before A, ``[0, 1)``.
        targets: ``qv``, ``qkvo`` (attention) or ``all`` (attention and feed-forward).

    Raises:
        UsageError: If a value is out of its range.
    """

    rank: int
    alpha_over_rank: float
    dropout: float
    targets: str

    def __post_init__(self) -> None:
        require(self.rank >= 1 and self.rank == int(self.rank), "rank >= 1, whole", self.rank)
        require(0 < self.alpha_over_rank <= 1e6, "0 < alpha_over_rank <= 1e6", self.alpha_over_rank)
        require(0 <= self.dropout < 1, "0 <= dropout < 1", self.dropout)
        if self.targets not in TARGETS:
            raise unknown("targets", self.targets, TARGETS, plural="Targets")


def prepare(model: "PreTrainedModel", hyperparameters: LoraHyperparameters) -> None:
    """Insert A and B beside the chosen linear maps of every layer; they and the head train.

    B starts at zero, so the new model computes what the old one did.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from torch.nn import Linear

    from tune_sentiment.low_rank import LowRankLinear
    from tune_sentiment.structure import freeze_all_but_head, head_names, linear_names

    freeze_all_but_head(model)
    config = LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.rank * hyperparameters.alpha_over_rank,
        lora_dropout=hyperparameters.dropout,
        target_modules=linear_names(model, TARGETS[hyperparameters.targets]),
    )
    config._register_custom_module({Linear: LowRankLinear})
    inject_adapter_in_model(config, model)
    for name in head_names(model):  # injection froze it again
        model.get_submodule(name).requires_grad_(True)


def merge(model: "PreTrainedModel") -> None:
    """Add ``alpha / rank * B A`` to each weight and put the plain linear maps back."""
    from peft.tuners.lora import LoraLayer

    adapted: list[tuple[str, Any]] = [
        (name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)
    ]
    for name, module in adapted:
        module.merge()
        model.set_submodule(name, module.get_base_layer())
