"""LoRA's linear map as one differentiable operation.

peft computes ``W x + scaling * B A dropout(x)`` in seven operations; forward and backward together
copy the layer's output five times and its input three times. For small encoders that costs more
than the matrix products that LoRA saves. The numbers are the same up to rounding.
"""

from typing import Any

import torch
from peft.tuners.lora.layer import Linear

from tune_sentiment.dropout import kept


class _LowRank(torch.autograd.Function):
    """``x W^T + bias + scaling * dropout(x) A^T B^T``, with gradients for x, A and B only."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
        keep: torch.Tensor | None,
    ) -> torch.Tensor:
        dropped = x if keep is None else x * keep
        low = dropped @ a.T
        out = x @ weight.T if bias is None else torch.addmm(bias, x, weight.T)
        out.addmm_(low, b.T, alpha=scaling)
        ctx.save_for_backward(weight, a, b, dropped, low, keep)
        ctx.scaling = scaling
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, a, b, dropped, low, keep = ctx.saved_tensors
        of_low = (gradient @ b).mul_(ctx.scaling)
        of_b = (gradient.T @ low).mul_(ctx.scaling)
        of_a = of_low.T @ dropped
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = gradient @ weight
            if keep is None:
                of_x.addmm_(of_low, a)
            else:
                of_x.addcmul_(of_low @ a, keep)
        return of_x, None, None, of_a, of_b, None, None


class LowRankLinear(Linear):
    """peft's LoRA layer with a shorter way from input to output; it merges and saves as before."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The adapted map of ``x``, ``[..., in]`` to ``[..., out]``."""
        base, names = self.get_base_layer(), self.active_adapters
        is_plain = (
            len(names) == 1
            and not (args or kwargs or self.merged or self.disable_adapters or self.lora_variant)
            and not torch.is_autocast_enabled(x.device.type)
            and not base.weight.requires_grad
        )
        if not is_plain:
            return super().forward(x, *args, **kwargs)
        a, b = self.lora_A[names[0]].weight, self.lora_B[names[0]].weight
        flat = x.reshape(-1, x.shape[-1])
        probability = getattr(self.lora_dropout[names[0]], "p", 0.0)
        keep = kept(flat, probability) if self.training and probability else None
        out: torch.Tensor = _LowRank.apply(
            flat, base.weight, base.bias, a, b, self.scaling[names[0]], keep
        )
        return out.view(*x.shape[:-1], -1)
