"""Frozen features: what an encoder says of each text before any training.

One forward pass over the data serves every trial of every study that needs it; the result is kept
on disk under a hash of the encoder and the tokens.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tune_sentiment.methods.svm import POOLINGS
from tune_sentiment.tiny import cache_folder
from tune_sentiment.tokens import Tokens, scoring_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tune_sentiment.backbone import Backbone

BATCH_SIZE = 64
FEATURES_VERSION = 1  # part of the cache key: raise it when the numbers change


@dataclass(frozen=True)
class Features:
    """Frozen features of a split.

    Args:
        pooled: For each of POOLINGS the features, ``[items, width]``, float32: the last hidden
            state of the first token, and its mean over the text's tokens.
        labels: Classes from 0, ``[items]``.
        seconds: What computing them took, on the machine that did.
        num_encoder_params: Parameters of the encoder that computed them.
    """

    pooled: dict[str, npt.NDArray[np.float32]]
    labels: npt.NDArray[np.int64]
    seconds: float
    num_encoder_params: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """One state for each text, ``[items]``."""
        return np.ones(len(self.labels), dtype=np.int64)

    @property
    def vocabulary(self) -> None:
        """No tokens are read."""
        return None

    def batch(self, items: npt.NDArray[np.int64], padding: str = "dynamic") -> dict[str, Any]:
        """``inputs_embeds``, ``[len(items), 1, width]``: the first token's state."""
        import torch

        return {"inputs_embeds": torch.from_numpy(self.pooled["cls"][items][:, None])}


def cached_features(backbone: "Backbone", tokens: Tokens) -> Features | None:
    """The features of every text as an earlier study left them here; ``None`` if none did.

    A file that cannot be read is as good as none.
    """
    return _kept(_cache_file(backbone, tokens), tokens)


def _kept(path: Path, tokens: Tokens) -> Features | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            pooled = {name: stored.get_tensor(name) for name in POOLINGS}
            kept = stored.metadata()
    except (OSError, SafetensorError):
        return None
    return Features(pooled, tokens.labels, float(kept["seconds"]), int(kept["encoder_params"]))


def frozen_features(backbone: "Backbone", tokens: Tokens, device: str) -> Features:
    """The features of every text, read from the cache or computed in fp32 and left there."""
    path = _cache_file(backbone, tokens)
    if (kept_before := _kept(path, tokens)) is not None:
        return kept_before
    started = time.perf_counter()
    pooled, encoder_params = _compute(backbone, tokens, device)
    seconds = time.perf_counter() - started
    features = Features(pooled, tokens.labels, seconds, encoder_params)
    keep_features(backbone, tokens, features)
    return features


def keep_features(backbone: "Backbone", tokens: Tokens, features: Features) -> None:
    """Leave features in this machine's cache."""
    from safetensors.numpy import save_file

    path = _cache_file(backbone, tokens)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    kept = {
        "seconds": repr(features.seconds),
        "encoder_params": str(features.num_encoder_params),
    }
    save_file(dict(features.pooled), unfinished, metadata=kept)
    Path(unfinished).replace(path)


def _cache_file(backbone: "Backbone", tokens: Tokens) -> Path:
    content = hashlib.sha256(f"{FEATURES_VERSION}:{backbone.fingerprint}".encode())
    content.update(tokens.ids.tobytes())
    content.update(tokens.offsets.tobytes())
    return cache_folder() / f"features-{content.hexdigest()[:24]}.safetensors"


def _compute(
    backbone: "Backbone", tokens: Tokens, device: str
) -> tuple[dict[str, npt.NDArray[np.float32]], int]:
    encoder = encoder_of(backbone, device)
    return pooled_states(encoder, tokens), encoder.num_parameters()


def encoder_of(backbone: "Backbone", device: str) -> "PreTrainedModel":
    """The frozen encoder, in evaluation mode."""
    return backbone.classifier(["0", "1"]).base_model.eval().to(device)


def pooled_states(encoder: "PreTrainedModel", tokens: Tokens) -> dict[str, npt.NDArray[np.float32]]:
    """For each of POOLINGS what an encoder says of every text, ``[texts, width]``."""
    import torch

    device, width = encoder.device, encoder.config.hidden_size
    pooled = {name: np.empty((len(tokens), width), dtype=np.float32) for name in POOLINGS}
    with torch.inference_mode():
        for items in scoring_batches(tokens.lengths, BATCH_SIZE):
            batch = {name: value.to(device) for name, value in tokens.batch(items).items()}
            states = encoder(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].to(states.dtype)
            pooled["cls"][items] = states[:, 0].cpu().numpy()
            pooled["mean"][items] = ((states * mask).sum(1) / mask.sum(1)).cpu().numpy()
    return pooled
