"""METHODS: every tuning method on one screen. Nothing heavy is imported here.

A neural method changes a model in place and is trained by the one loop in ``train.py``; a
closed-form method fits itself on frozen features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune_sentiment.errors import unknown
from tune_sentiment.methods import adapters, freeze, full, lora, svm

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
        merge: Turns a trained model into one that plain transformers loads, in place.
        fit: Trains a closed-form method on features; ``prepare`` is then ``None``.
        reads_features: Whether it reads frozen features, or else tokens.
        is_plain: Whether plain transformers loads what it trains, once merged.
    """

    hyperparameters: type
    prepare: "Callable[[PreTrainedModel, Any], None] | None" = None
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
        hyperparameters=lora.LoraHyperparameters, prepare=lora.prepare, merge=lora.merge
    ),
    "adapters": Method(
        hyperparameters=adapters.AdaptersHyperparameters, prepare=adapters.prepare, is_plain=False
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
