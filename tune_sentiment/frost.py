"""Lower layers that do not train yet: no gradient passes below the lowest thawed one.

Parameters without a gradient are left as they are by AdamW, weight decay included.
"""

from typing import TYPE_CHECKING, Any

from torch import nn

from tune_sentiment.structure import encoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Frost(nn.Module):
    """Cuts gradients off at the lower end of what is thawed.

    Args:
        layers: Of the encoder, how many.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.thawed = 0  # encoder layers from the top; one more for the embeddings

    @property
    def parts(self) -> int:
        """What can be thawed: each layer, and the embeddings."""
        return self.layers + 1

    @classmethod
    def lay(cls, model: "PreTrainedModel") -> None:
        """Freeze a model's encoder until ``thawed`` says more; its head is never frozen."""
        stack = encoder_layers(model)
        frost = cls(len(stack))
        for index, layer in enumerate(stack):
            layer.register_forward_pre_hook(frost._before(index))
        stack[-1].register_forward_hook(frost._after_the_last)
        model.frost = frost

    @classmethod
    def of(cls, model: "PreTrainedModel") -> "Frost":
        """The frost that was laid on a model."""
        frost: Frost = model.frost
        return frost

    def _before(self, index: int) -> Any:
        def cut(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if self.thawed != self.layers - index:
                return None
            return (inputs[0].detach(), *inputs[1:])

        return cut

    def _after_the_last(self, layer: nn.Module, inputs: Any, output: Any) -> Any:
        return output.detach() if self.thawed == 0 else None
