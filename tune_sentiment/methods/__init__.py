"""METHODS: every tuning method on one screen. Nothing heavy is imported here.

A neural method changes a model in place and is trained by the one loop in ``train.py``; a
closed-form method fits itself on frozen features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune_sentiment.errors import unknown
from tune_sentiment.methods import adapters, bitfit, freeze, full, gradual, ia3, lora, svm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tune_sentiment.classifiers import LinearClassifier
    from tune_sentiment.features import Features


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to adapt a pretrained encoder.

    Args:
        hyperparameters: Dataclass that owns the method's own hyperparameters.
        prepare: Freezes and inserts in place, so that exactly what shall train requires gradients.
        lr_factor: What a parameter's learning rate is multiplied with, by its name.
        decays: Whether a matrix is drawn towards zero by weight decay, by its name.
        settling: Hyperparameters that are shares of a training before which trials cannot be
            compared; ASHA waits for the longest.
        on_step: Called before each optimizer step with the share of planned steps that is done.
        merge: Turns a trained model into one that plain transformers loads, in place.
        fit: Trains a closed-form method on features; ``prepare`` is then ``None``.
        reads_features: Whether it reads frozen features, or else tokens.
        is_plain: Whether plain transformers loads what it trains, once merged.
    """

    hyperparameters: type
    prepare: "Callable[[PreTrainedModel, Any], None] | None" = None
    lr_factor: Callable[[Any, str], float] = lambda hyperparameters, name: 1.0
    decays: Callable[[str], bool] = lambda name: True
    settling: tuple[str, ...] = ("warmup_ratio",)
    on_step: "Callable[[PreTrainedModel, Any, float], None]" = lambda model, own, share: None
    merge: "Callable[[PreTrainedModel], None] | None" = None
    fit: "Callable[[Any, Features], LinearClassifier] | None" = None
    reads_features: bool = False
    is_plain: bool = True

    @property
    def is_neural(self) -> bool:
        """Whether the one training loop trains it, in epochs."""
        return self.fit is None

    @property
    def stops_early(self) -> bool:
        """Whether ASHA may end its trials: those on cached features cost too little to."""
        return self.is_neural and not self.reads_features


def _merge_injected(model: "PreTrainedModel") -> None:
    from tune_sentiment.injection import merge

    merge(model)


METHODS: dict[str, Method] = {
    "svm": Method(
        hyperparameters=svm.SvmHyperparameters, fit=svm.fit, reads_features=True, is_plain=False
    ),
    "full": Method(hyperparameters=full.FullHyperparameters, prepare=full.prepare),
    "freeze": Method(
        hyperparameters=freeze.FreezeHyperparameters,
        prepare=freeze.prepare,
        merge=freeze.merge,
        reads_features=True,
    ),
    "lora": Method(
        hyperparameters=lora.LoraHyperparameters,
        prepare=lora.prepare,
        lr_factor=lora.lr_factor,
        merge=_merge_injected,
    ),
    "adapters": Method(
        hyperparameters=adapters.AdaptersHyperparameters, prepare=adapters.prepare, is_plain=False
    ),
    "ia3": Method(
        hyperparameters=ia3.Ia3Hyperparameters,
        prepare=ia3.prepare,
        decays=ia3.decays,
        merge=_merge_injected,
    ),
    "bitfit": Method(hyperparameters=bitfit.BitfitHyperparameters, prepare=bitfit.prepare),
    "gradual": Method(
        hyperparameters=gradual.GradualHyperparameters,
        prepare=gradual.prepare,
        on_step=gradual.on_step,
        settling=("warmup_ratio", "unfreezing_ratio"),
    ),
}
BASELINE = "svm"
COMPARED = ("svm", "full", "freeze", "lora", "adapters")  # --method all; others go by name


def method_named(name: str) -> Method:
    """The row of METHODS.

    Raises:
        UsageError: If there is none of this name.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS, plural="Methods")
    return METHODS[name]
