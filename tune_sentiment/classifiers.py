"""Trained classifiers of both kinds behind one small face: scores, tensors to keep, parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from tune_sentiment.features import Features
from tune_sentiment.metrics import Scores
from tune_sentiment.tokens import Inputs, scoring_batches

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SCORING_BATCH_SIZE = 128


class Classifier(Protocol):
    """A trained classifier."""

    @property
    def has_probabilities(self) -> bool:
        """Whether softmax of the scores means anything."""
        ...

    @property
    def num_trainable_params(self) -> int:
        """Numbers that training may change."""
        ...

    @property
    def num_total_params(self) -> int:
        """All numbers that a prediction uses, the encoder's included."""
        ...

    def scores(self, inputs: Any) -> Scores:
        """One score per class, ``[items, classes]``: logits or decision values."""
        ...

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What training changed, by name."""
        ...


@dataclass(frozen=True)
class LinearClassifier:
    """A linear map of scaled frozen features.

    Args:
        coefficients: ``[1, width]`` for two classes, else ``[classes, width]``.
        intercepts: ``[1]`` or ``[classes]``.
        mean: Subtracted from the features, ``[width]``.
        scale: Divides them, ``[width]``.
        pooling: Which features it reads.
        has_converged: Whether its solver met its tolerance.
        num_encoder_params: Parameters of the encoder behind the features.
    """

    coefficients: npt.NDArray[np.float64]
    intercepts: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    pooling: str
    has_converged: bool
    num_encoder_params: int
    has_probabilities: ClassVar[bool] = False

    @property
    def num_trainable_params(self) -> int:
        """Coefficients and intercepts."""
        return int(self.coefficients.size + self.intercepts.size)

    @property
    def num_total_params(self) -> int:
        """Those, and the encoder's."""
        return self.num_trainable_params + self.num_encoder_params

    def scores(self, inputs: Features) -> Scores:
        """Decision values, ``[items, classes]``; with two classes the first is minus the second."""
        scaled = (inputs.pooled[self.pooling] - self.mean) / self.scale
        values = scaled @ self.coefficients.T + self.intercepts
        if values.shape[1] == 1:
            values = np.hstack([-values, values])
        return np.asarray(values, dtype=np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Coefficients, intercepts and the scaler."""
        names = ("coefficients", "intercepts", "mean", "scale")
        # safetensors writes the buffer as it lies: another order in memory would be read as rows.
        return {name: np.ascontiguousarray(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class NeuralClassifier:
    """A model with a classification head.

    Args:
        model: The prepared and trained model, on its device.
        precision: What its matrix products are computed in.
    """

    model: "PreTrainedModel"
    precision: str
    has_probabilities: ClassVar[bool] = True

    @property
    def num_trainable_params(self) -> int:
        """Parameters that require gradients."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def num_total_params(self) -> int:
        """Parameters of the prepared model, inserted ones included."""
        return sum(p.numel() for p in self.model.parameters())

    def scores(self, inputs: Inputs) -> Scores:
        """Logits, ``[items, classes]``; the model is in evaluation mode meanwhile."""
        import torch

        from tune_sentiment.packing import logits_of

        was_training = self.model.training
        self.model.eval()
        device = self.model.device
        logits = np.empty((len(inputs), self.model.config.num_labels), dtype=np.float32)
        with torch.inference_mode(), autocast(device, self.precision):
            for items in scoring_batches(inputs.lengths, SCORING_BATCH_SIZE):
                found = logits_of(self.model, inputs.batch(items))
                logits[items] = found.float().cpu().numpy()
        self.model.train(was_training)
        return logits

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Copies of every parameter that trains."""
        return {
            name: np.array(parameter.detach().cpu().numpy(), order="C")
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }

    def load(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put trained parameters in place.

        Raises:
            ValueError: If the names are not exactly those that train.
        """
        import torch

        mine = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        if set(mine) != set(tensors):
            raise ValueError(f"other parameters: {sorted(set(mine) ^ set(tensors))[:4]}")
        with torch.no_grad():
            for name, parameter in mine.items():
                parameter.copy_(torch.from_numpy(np.array(tensors[name])))


def autocast(device: "torch.device", precision: str) -> "torch.autocast":
    """The context in which matrix products run in ``precision``; fp32 leaves all as it is."""
    import torch

    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    enabled = dtype is not torch.float32
    return torch.autocast(device.type, dtype=dtype if enabled else None, enabled=enabled)
