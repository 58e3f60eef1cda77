"""Which parameters train together: their learning rate, and whether they decay."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tune_sentiment.config import TrialConfig
from tune_sentiment.structure import head_names

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def parameter_groups(
    model: "PreTrainedModel",
    config: TrialConfig,
    lr_factor: Callable[[str], float] = lambda name: 1.0,
    decays: Callable[[str], bool] = lambda name: True,
) -> list[dict[str, Any]]:
    """AdamW's groups: the head with its own learning rate; no decay of biases and norms.

    Args:
        model: A prepared one.
        config: The training's instruction.
        lr_factor: What a parameter's learning rate is multiplied with, by its name; the head's
            is ``head_lr_over_lr``.
        decays: Whether a matrix decays, by its name.
    """
    heads = tuple(f"{name}." for name in head_names(model))
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = config.head_lr_over_lr if name.startswith(heads) else lr_factor(name)
            # Biases and norms have one dimension.
            is_decaying = parameter.ndim >= 2 and decays(name)
            groups.setdefault((factor, is_decaying), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": config.lr * factor,
            "weight_decay": config.weight_decay if is_decaying else 0.0,
        }
        for (factor, is_decaying), parameters in groups.items()
    ]
