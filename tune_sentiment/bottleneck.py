"""The bottleneck adapter module."""

import torch
from torch import nn
from torch.nn.functional import gelu

from tune_sentiment.errors import require


class Bottleneck(nn.Module):
    """A bottleneck adapter added to a layer's output (Houlsby et al., 2019, fig. 2).

    Computes ``h + up(dropout(gelu(down(h))))``. ``up`` starts at zero, so a new adapter changes
    nothing.

    Args:
        width: Size of the hidden states, ``d``.
        bottleneck: Inner size ``m``, ``>= 1``. Adds ``2 * d * m + d + m`` parameters. It may exceed
            ``d``, so that a space made for wide encoders also runs on narrow ones.
        dropout: Probability in ``[0, 1)``, applied inside the bottleneck.

    Raises:
        UsageError: If ``bottleneck`` or ``dropout`` is out of range.
    """

    def __init__(self, width: int, bottleneck: int, dropout: float) -> None:
        super().__init__()
        require(bottleneck >= 1, "bottleneck >= 1", bottleneck)
        require(0 <= dropout < 1, "0 <= dropout < 1", dropout)
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states ``[..., d]`` to hidden states of the same shape."""
        changed: torch.Tensor = self.up(self.dropout(gelu(self.down(hidden))))
        return hidden + changed
