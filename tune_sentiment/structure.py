"""Where things are in an encoder, found from its modules instead of listed per family.

Query, key and value projections go by their usual names; every other place follows from shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from tune_sentiment.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION_NAMES = {
    "q": ("q_lin", "query", "q_proj"),
    "k": ("k_lin", "key", "k_proj"),
    "v": ("v_lin", "value", "v_proj"),
}


@dataclass(frozen=True)
class Layer:
    """Full module names of the linear maps of one encoder layer."""

    q: str
    k: str
    v: str
    out: str
    ff_in: str
    ff_out: str


def layers_of(model: "PreTrainedModel") -> list[Layer]:
    """The linear maps of each encoder layer, first layer first.

    Raises:
        UsageError: If the model's layers are not those of a BERT-like encoder.
    """
    prefix, stack = _stack(model)
    width = model.config.hidden_size
    return [_layer(model, f"{prefix}.{i}", layer, width) for i, layer in enumerate(stack)]


def encoder_layers(model: "PreTrainedModel") -> nn.ModuleList:
    """The encoder's layers, first layer first.

    Raises:
        UsageError: If the model's layers are not those of a BERT-like encoder.
    """
    return _stack(model)[1]


def _stack(model: "PreTrainedModel") -> tuple[str, nn.ModuleList]:
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == model.config.num_hidden_layers:
            return name, module
    raise _unsupported(model)


def _layer(model: "PreTrainedModel", prefix: str, layer: nn.Module, width: int) -> Layer:
    linears = {n: m for n, m in layer.named_modules() if isinstance(m, nn.Linear)}
    found = {}
    for role, names in ATTENTION_NAMES.items():
        matches = [n for n in linears if n.rpartition(".")[2] in names]
        if len(matches) != 1:
            raise _unsupported(model)
        found[role] = matches[0]
    square = [
        name
        for name, linear in linears.items()
        if (linear.in_features, linear.out_features) == (width, width)
        and name not in found.values()
    ]
    into = [n for n, m in linears.items() if m.in_features == width and m.out_features != width]
    back = [n for n, m in linears.items() if m.in_features != width and m.out_features == width]
    if not (square and len(into) == 1 and len(back) == 1):
        raise _unsupported(model)
    found |= {"out": square[-1], "ff_in": into[0], "ff_out": back[0]}
    return Layer(**{role: f"{prefix}.{name}" for role, name in found.items()})


def _unsupported(model: "PreTrainedModel") -> UsageError:
    return UsageError(
        f"{type(model).__name__}: its layers are not those of a BERT-like encoder (one query, key, "
        "value and output projection, two feed-forward maps)"
    )


def linear_names(model: "PreTrainedModel", roles: Sequence[str]) -> list[str]:
    """Full names of the linear maps with these roles (fields of ``Layer``), in every layer."""
    return [getattr(layer, role) for layer in layers_of(model) for role in roles]


def head_names(model: "PreTrainedModel") -> list[str]:
    """Full names of the modules after the last encoder layer, a pooler included."""
    prefix = model.base_model_prefix
    names = [
        n for n, m in model.named_children() if n != prefix and any(True for _ in m.parameters())
    ]
    if getattr(model.base_model, "pooler", None) is not None:
        names.append(f"{prefix}.pooler")
    return names


def freeze_all_but_head(model: "PreTrainedModel") -> None:
    """Leave only the head trainable."""
    model.requires_grad_(False)
    for name in head_names(model):
        model.get_submodule(name).requires_grad_(True)
