"""Word embeddings of the training's own words: what the others would cost is left out.

A word that no training text has gets no gradient, so AdamW leaves it as it is but for weight decay,
which is one factor for all such words. The gradient, its norm, and the optimizer's reading and
writing of their rows, more than half of all embeddings on a small corpus, change nothing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import embedding

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SeenEmbedding(nn.Module):
    """The rows of an embedding that a training reads.

    One row of ones stands behind them for all the others: nothing reads it, so it decays as they
    do.

    Args:
        whole: The embedding.
        seen: Token ids that occur, ``[words]``.
    """

    index: torch.Tensor

    def __init__(self, whole: nn.Embedding, seen: npt.NDArray[np.int64]) -> None:
        super().__init__()
        first = whole.weight.detach().clone()
        padding = [] if whole.padding_idx is None else [whole.padding_idx]
        rows = torch.from_numpy(np.union1d(seen, padding).astype(np.int64)).to(first.device)
        index = torch.full((len(first),), len(rows), device=first.device)
        index[rows] = torch.arange(len(rows), device=first.device)
        self.weight = nn.Parameter(torch.cat([first[rows], torch.ones_like(first[:1])]))
        self.register_buffer("index", index, persistent=False)
        self.padding_idx = None if whole.padding_idx is None else int(index[whole.padding_idx])
        self.rows, self.first, self.kept = rows, first, [whole]  # a list hides it from the model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of seen words, ``[..., width]``."""
        return embedding(self.index[input_ids], self.weight, self.padding_idx)

    def whole(self) -> nn.Embedding:
        """The embedding of all words, as the training would have left it."""
        weight = self.weight.detach()
        (made,) = self.kept
        with torch.no_grad():
            made.weight.copy_((self.first * weight[-1]).index_copy_(0, self.rows, weight[:-1]))
        return made


def narrow(model: "PreTrainedModel", seen: npt.NDArray[np.int64] | None) -> None:
    """Leave the model the embeddings of these words, if it trains them."""
    if seen is None:
        return
    whole = model.get_input_embeddings()
    if isinstance(whole, nn.Embedding) and whole.weight.requires_grad:
        model.set_input_embeddings(SeenEmbedding(whole, seen))


def widen(model: "PreTrainedModel") -> Callable[[], None]:
    """Give the model all words back, to evaluate and to keep; returns what takes them again."""
    narrowed = next((m for m in model.modules() if isinstance(m, SeenEmbedding)), None)
    if narrowed is None:
        return lambda: None
    model.set_input_embeddings(narrowed.whole())
    return lambda: model.set_input_embeddings(narrowed)
