"""Sentences one after the other instead of padded: the same logits from fewer tokens.

Everything in an encoder but attention works on each token by itself. transformers' public
``AttentionInterface`` lets attention alone see the sentences side by side (Krell et al., 2021,
https://arxiv.org/abs/2107.02027, in the exact form of ModernBERT's unpadding).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from tune_sentiment.backbone import PLAIN_ATTENTION
from tune_sentiment.cached_encoder import on_cached_states
from tune_sentiment.dropout import dropped
from tune_sentiment.tokens import first_position

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PACKED = "packed"


@dataclass(frozen=True)
class Packing:
    """Where the tokens of a packed batch belong.

    Args:
        starts: Position of each text's first token in the batch, ``[texts]``.
        cells: Each token's cell in the padded batch, read row by row, ``[tokens]``.
        mask: Which cells hold a token, ``[texts, 1, 1, longest]``.
    """

    starts: torch.Tensor
    cells: torch.Tensor
    mask: torch.Tensor

    def to(self, device: torch.device) -> "Packing":
        """The same on a device."""
        return Packing(self.starts.to(device), self.cells.to(device), self.mask.to(device))

    @property
    def shape(self) -> tuple[int, int]:
        """Texts, and tokens of the longest."""
        return self.mask.shape[0], self.mask.shape[-1]


class _Scatter(torch.autograd.Function):
    """Rows to their cells, zeros elsewhere; the gradient is ``_Gather``."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, cells: torch.Tensor, count: int) -> torch.Tensor:
        ctx.save_for_backward(cells)
        return rows.new_zeros(count, rows.shape[1]).index_copy_(0, cells, rows)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Gather(torch.autograd.Function):
    """Cells back to rows; the gradient is ``_Scatter``: no cell is read twice."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cells)
        ctx.count = padded.shape[0]
        return padded.index_select(0, cells)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        padded = gradient.new_zeros(ctx.count, gradient.shape[1])
        return padded.index_copy_(0, ctx.saved_tensors[0], gradient), None


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    probability: float,
    scaling: float | None,
) -> torch.Tensor:
    if probability == 0 or query.device.type != "cpu":
        return scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=probability, scale=scaling
        )
    scores = (query * (scaling or query.shape[-1] ** -0.5)) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill_(~mask, -torch.inf)
    return dropped(scores.softmax(-1), probability) @ value


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Packing | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each text of a packed batch; of a padded one as transformers does it.

    Args:
        module: The layer's attention.
        query: ``[1, heads, tokens, width of a head]``; key and value likewise.
        key: See ``query``.
        value: See ``query``.
        attention_mask: Of a padded batch.
        dropout: Of the attention's weights.
        scaling: Factor before the softmax.
        packing: Of a packed batch.
        **others: What a padded batch needs.

    Returns:
        ``[1, tokens, heads, width of a head]``, and no weights.
    """
    if packing is None:
        if dropout == 0 or query.device.type != "cpu":  # as transformers does it
            found: tuple[torch.Tensor, None] = sdpa_attention_forward(
                module,
                query,
                key,
                value,
                attention_mask,
                dropout=dropout,
                scaling=scaling,
                **others,
            )
            return found
        return _attention(query, key, value, attention_mask, dropout, scaling).transpose(1, 2), None
    heads, tokens, width = query.shape[1:]
    texts, longest = packing.shape

    def padded(states: torch.Tensor) -> torch.Tensor:
        rows = states.transpose(1, 2).reshape(tokens, heads * width)
        cells = _Scatter.apply(rows, packing.cells, texts * longest)
        return cells.view(texts, longest, heads, width).transpose(1, 2)

    attended = _attention(padded(query), padded(key), padded(value), packing.mask, dropout, scaling)
    cells = attended.transpose(1, 2).reshape(texts * longest, heads * width)
    return _Gather.apply(cells, packing.cells).view(1, tokens, heads, width), None


def use_own_attention(model: "PreTrainedModel") -> None:
    """Let a model of ``PLAIN_ATTENTION`` compute it here; another family's may need more."""
    if model.config.model_type in PLAIN_ATTENTION:
        model.set_attn_implementation(PACKED)


AttentionInterface.register(PACKED, attend)
AttentionMaskInterface.register(PACKED, sdpa_mask)


def logits_of(model: "PreTrainedModel", batch: Mapping[str, Any]) -> torch.Tensor:
    """Logits of a batch's texts, ``[texts, classes]``.

    Args:
        model: Where the batch is packed, one whose attention is ``PACKED``.
        batch: What ``Inputs.batch`` made, on any device.
    """
    there = {name: part.to(model.device) for name, part in batch.items()}
    packing: Packing | None = there.get("packing")
    if packing is not None:
        there["position_ids"] += first_position(model.config)
        states = model.base_model(**there).last_hidden_state
        first = states[0].index_select(0, packing.starts)
        model, there = on_cached_states(model), {"inputs_embeds": first[:, None]}
    logits: torch.Tensor = model(**there).logits
    return logits
