"""Stands where an encoder stood, for heads that train on its cached features."""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class CachedEncoder(nn.Module):
    """Hands cached [CLS] states to the head, which reads the first position only.

    Args:
        encoder: The frozen encoder whose states were cached; kept, never run.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.pooler = getattr(encoder, "pooler", None)  # first: its parameters keep their names
        self.encoder = encoder

    def forward(
        self, input_ids: None = None, inputs_embeds: torch.Tensor | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """Cached states ``[batch, 1, width]`` as the encoder's output, pooled where it pools."""
        pooled = None if self.pooler is None else self.pooler(inputs_embeds)
        return BaseModelOutputWithPooling(last_hidden_state=inputs_embeds, pooler_output=pooled)


def take_out_encoder(model: "PreTrainedModel") -> None:
    """Let the model read cached states instead of tokens."""
    setattr(model, model.base_model_prefix, CachedEncoder(model.base_model))


def put_back_encoder(model: "PreTrainedModel") -> None:
    """Let the model read tokens again; its head stays as it is trained."""
    setattr(model, model.base_model_prefix, model.base_model.encoder)


def on_cached_states(model: "PreTrainedModel") -> "PreTrainedModel":
    """A second view of the model that reads states of its encoder; all parameters are shared."""
    view = copy.copy(model)
    view._modules = {**model._modules}
    take_out_encoder(view)
    return view
