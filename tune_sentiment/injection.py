"""What peft puts beside linear maps in place, so that a model keeps its class and its names."""

from typing import TYPE_CHECKING, Any

from tune_sentiment.structure import freeze_all_but_head, head_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def inject(model: "PreTrainedModel", config: Any) -> None:
    """Insert what a peft configuration describes; that and the head train.

    Args:
        model: Changed in place.
        config: Of peft, with full module names as its targets.
    """
    from peft import inject_adapter_in_model

    freeze_all_but_head(model)
    inject_adapter_in_model(config, model)
    for name in head_names(model):  # injection froze it again
        model.get_submodule(name).requires_grad_(True)


def merge(model: "PreTrainedModel") -> None:
    """Compute what was inserted into the weights, and put the plain linear maps back."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted: list[tuple[str, Any]] = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer) and hasattr(module, "merge")
    ]
    for name, module in adapted:
        module.merge()
        model.set_submodule(name, module.get_base_layer())
