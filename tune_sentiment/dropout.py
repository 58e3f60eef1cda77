"""Dropout with cheap random numbers: on CPUs a fifth of a LoRA step goes into drawing them.

torch draws one 32-bit number for each element, one after the other. Sixteen bits are enough to say
whether an element is dropped, so one 64-bit number serves four. The elements stay independent; the
probability is the asked one to within 2^-17.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEVELS = 1 << 16
PER_DRAW = 4  # 16-bit numbers in a 64-bit one


def kept(like: torch.Tensor, probability: float) -> torch.Tensor:
    """Factors of the elements of a tensor: 0 for a dropped one, else what keeps the expectation."""
    count = like.numel()
    drawn = torch.empty(-(-count // PER_DRAW), dtype=torch.int64, device=like.device)
    bits = drawn.random_(-(1 << 63), None).view(torch.int16)[:count].view(like.shape)
    factors = torch.empty(like.shape, dtype=like.dtype, device=like.device)
    torch.ge(bits, round(probability * LEVELS) - LEVELS // 2, out=factors)  # 0 or 1
    return factors.mul_(1 / (1 - probability))


def dropped(x: torch.Tensor, probability: float) -> torch.Tensor:
    """``x`` with elements dropped at random (Srivastava et al., 2014).

    Args:
        x: Any shape.
        probability: That an element is dropped, ``[0, 1)``.
    """
    return x * kept(x, probability) if probability else x


class CheapDropout(nn.Dropout):
    """``nn.Dropout`` with the numbers of ``kept``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x``, with elements dropped while training."""
        return dropped(x, self.p) if self.training else x


def cheapen_dropout(model: "PreTrainedModel") -> None:
    """Let every ``nn.Dropout`` of a model on a CPU draw cheap numbers; a GPU draws in parallel."""
    if model.device.type != "cpu":
        return
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, CheapDropout(module.p))
