"""Low-rank adaptation of linear maps (Hu et al., 2022, https://arxiv.org/abs/2106.09685, eq. 3).

The adapters come from peft by injection, so the model keeps its class and its module names.
``variant`` chooses a relative of LoRA, ``b_lr_over_a_lr`` makes any of them LoRA+ (Hayou et al.,
2024, https://arxiv.org/abs/2402.12354).
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
VARIANTS: dict[str, dict[str, Any]] = {  # what peft is told
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa"},
}


@dataclass(frozen=True, kw_only=True)
class LoraHyperparameters:
    """What LoRA adds to a linear map: ``h + alpha / rank * B A dropout(x)``.

    Args:
        rank: Rows of A, ``>= 1``.
        alpha_over_rank: The factor before ``B A``, ``> 0``; with ``rslora`` times ``sqrt(rank)``.
        dropout: Probability before A, ``[0, 1)``.
        targets: ``qv``, ``qkvo`` (attention) or ``all`` (attention and feed-forward).
        variant: ``lora``; ``rslora``, the scale ``alpha / sqrt(rank)`` (Kalajdzievski, 2023,
            https://arxiv.org/abs/2312.03732); ``dora``, direction and magnitude apart (Liu et al.,
            2024, https://arxiv.org/abs/2402.09353); ``pissa``, A and B from the largest singular
            values (Meng et al., 2024, https://arxiv.org/abs/2404.02948).
        b_lr_over_a_lr: B's learning rate divided by A's, which is ``lr``, ``> 0``; 1 in plain LoRA.

    Raises:
        UsageError: If a value is out of its range.
    """

    rank: int
    alpha_over_rank: float
    dropout: float
    targets: str
    variant: str = "lora"
    b_lr_over_a_lr: float = 1.0

    def __post_init__(self) -> None:
        require(self.rank >= 1 and self.rank == int(self.rank), "rank >= 1, whole", self.rank)
        require(0 < self.alpha_over_rank <= 1e6, "0 < alpha_over_rank <= 1e6", self.alpha_over_rank)
        require(0 <= self.dropout < 1, "0 <= dropout < 1", self.dropout)
        require(0 < self.b_lr_over_a_lr <= 1e6, "0 < b_lr_over_a_lr <= 1e6", self.b_lr_over_a_lr)
        if self.targets not in TARGETS:
            raise unknown("targets", self.targets, TARGETS, plural="Targets")
        if self.variant not in VARIANTS:
            raise unknown("variant", self.variant, VARIANTS, plural="Variants")


def prepare(model: "PreTrainedModel", hyperparameters: LoraHyperparameters) -> None:
    """Insert A and B beside the chosen linear maps of every layer; they and the head train.

    The new model computes what the old one did: B starts at zero, or, with ``pissa``, ``B A`` is
    taken out of the weights.

    Raises:
        UsageError: If ``pissa`` is to have a larger rank than the maps have.
    """
    from peft import LoraConfig
    from torch.nn import Linear

    from tune_sentiment.injection import inject
    from tune_sentiment.low_rank import LowRankLinear
    from tune_sentiment.structure import linear_names

    names = linear_names(model, TARGETS[hyperparameters.targets])
    smallest = min(min(model.get_submodule(name).weight.shape) for name in names)
    if hyperparameters.variant == "pissa":  # it has no more singular values to start from
        require(hyperparameters.rank <= smallest, f"rank <= {smallest}", hyperparameters.rank)
    config = LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.rank * hyperparameters.alpha_over_rank,
        lora_dropout=hyperparameters.dropout,
        target_modules=names,
        **VARIANTS[hyperparameters.variant],
    )
    config._register_custom_module({Linear: LowRankLinear})
    inject(model, config)


def lr_factor(hyperparameters: LoraHyperparameters, name: str) -> float:
    """What a parameter's learning rate is multiplied with."""
    return hyperparameters.b_lr_over_a_lr if ".lora_B." in name else 1.0
