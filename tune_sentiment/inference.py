"""What a trained classifier costs when it is used: measured, for the tables.

Only the model's forward passes are timed; tokenising comes before them and is the same for all.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_sentiment.classifiers import autocast
from tune_sentiment.methods import METHODS
from tune_sentiment.proposal import Proposal
from tune_sentiment.provenance import device_name
from tune_sentiment.tokens import Tokens
from tune_sentiment.trial_setup import TrialSetup
from tune_sentiment.winner import load_classifier

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ONE_BY_ONE = 40  # sentences timed at batch 1
BATCH_SIZE = 64
BATCHES = 4
FIELDS = (
    "latency_seconds",
    "sentences_per_second",
    "unmerged_latency_seconds",
    "unmerged_sentences_per_second",
    "inference_device",
)


def inference_cost(
    setup: TrialSetup, proposal: Proposal, tensors: Path, tokens: Tokens
) -> dict[str, Any]:
    """Seconds for one sentence at batch 1, and sentences per second at batch 64.

    Merged where a method can merge what it inserted, and ``unmerged_`` beside it; both are timed
    in turn, so that a busy machine slows both.

    Args:
        setup: What the study's trainings share.
        proposal: The confirmation run.
        tensors: What it left.
        tokens: Sentences to classify, at least one.

    Returns:
        ``FIELDS``; ``None`` where there is nothing to merge.
    """
    import torch

    torch.set_num_threads(setup.num_threads)
    models = {"": _merged(setup, proposal, tensors)}
    if METHODS[setup.method].merge is not None and not METHODS[setup.method].reads_features:
        models["unmerged_"] = _as_trained(setup, proposal, tensors)
    found: dict[str, Any] = dict.fromkeys(FIELDS)
    found["inference_device"] = device_name(setup.device)
    single = [np.array([i % len(tokens)]) for i in range(ONE_BY_ONE)]
    for name, seconds in _timed(models, setup, tokens, single).items():
        found[f"{name}latency_seconds"] = median(seconds)
    size = min(BATCH_SIZE, len(tokens))
    batches = [(np.arange(size) + size * i) % len(tokens) for i in range(BATCHES)]
    for name, seconds in _timed(models, setup, tokens, batches).items():
        found[f"{name}sentences_per_second"] = size / median(seconds)
    return found


def _timed(
    models: "Mapping[str, PreTrainedModel]", setup: TrialSetup, tokens: Tokens, parts: list[Any]
) -> dict[str, list[float]]:
    """Seconds of each forward pass; the first pass of each model warms up and is left out."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in models}
    device = torch.device(setup.device)
    with torch.inference_mode(), autocast(device, setup.plan.get("precision", "fp32")):
        for turn, items in enumerate([parts[0], *parts]):
            batch = {name: value.to(device) for name, value in tokens.batch(items).items()}
            for name in sorted(models, reverse=turn % 2 == 1):
                started = time.perf_counter()
                models[name](**batch)
                if setup.device != "cpu":
                    torch.cuda.synchronize()
                seconds[name].append(time.perf_counter() - started)
    return {name: values[1:] for name, values in seconds.items()}


def _as_trained(setup: TrialSetup, proposal: Proposal, tensors: Path) -> "PreTrainedModel":
    classifier: Any = load_classifier(setup, proposal, tensors)
    model: PreTrainedModel = classifier.model.eval()
    return model


def _merged(setup: TrialSetup, proposal: Proposal, tensors: Path) -> "PreTrainedModel":
    """The model that answers for the run; of a closed-form method its encoder, all but the cost."""
    method = METHODS[setup.method]
    if not method.is_neural:
        encoder: PreTrainedModel = setup.backbone.classifier(setup.classes).base_model
        return encoder.eval().to(setup.device)
    model = _as_trained(setup, proposal, tensors)
    if method.merge is not None:
        method.merge(model)
    return model.to(setup.device)
