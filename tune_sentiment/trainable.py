"""The bridge between Ray and training: a proposal comes in, reports go out.

A report is what the driver needs to decide and to record: ``status``, ``evaluation``, the
``objective`` (the searched metric's best value so far) and ``details``.
"""

import contextlib
import gc
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_sentiment.backbone import Backbone
from tune_sentiment.config import split
from tune_sentiment.durable import write_bytes
from tune_sentiment.methods import METHODS
from tune_sentiment.metrics import metric_named
from tune_sentiment.proposal import Proposal
from tune_sentiment.provenance import device_name, host, now

# What torch says in a plain RuntimeError: its CPU allocator, late CUDA errors, cuBLAS.
OUT_OF_MEMORY_WORDS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@dataclass(frozen=True, kw_only=True)
class TrialSetup:
    """What every trial of a study shares.

    Args:
        method: A name in METHODS.
        backbone: The pretrained encoder.
        classes: Names of the classes, in their order.
        metric: The searched metric, with its split.
        plan: The study's part of ``TrialConfig``, without the seed.
        device: ``cpu`` or ``cuda``.
        num_threads: CPU threads of a trial.
        max_length: Longest text in tokens.
    """

    method: str
    backbone: Backbone
    classes: tuple[str, ...]
    metric: str
    plan: Mapping[str, Any]
    device: str
    num_threads: int
    max_length: int


def build_model(setup: TrialSetup, params: Mapping[str, Any], seed: int) -> tuple[Any, Any]:
    """A neural method's model before training, and its instruction.

    The seed fixes all that is random, from the head's initial values to dropout.
    """
    import torch

    method = METHODS[setup.method]
    assert method.prepare is not None
    config, own = split(params, method.hyperparameters, is_neural=True, seed=seed, **setup.plan)
    torch.manual_seed(seed)
    model = setup.backbone.classifier(setup.classes)
    method.prepare(model, own)
    return model.to(setup.device), config


def build_state(setup: TrialSetup, params: Mapping[str, Any], seed: int, num_train: int) -> Any:
    """A neural method's training before its first step."""
    from tune_sentiment.train import TrainState

    model, config = build_model(setup, params, seed)
    return TrainState.new(model, config, num_train)


def evaluations_of(
    setup: TrialSetup, proposal: Proposal, train: Any, validation: Any
) -> Generator[Any, None, None]:
    """The evaluations of one training, by whichever way its method trains."""
    from tune_sentiment.closed_form import fit_closed_form
    from tune_sentiment.train import fit

    method = METHODS[setup.method]
    if method.fit is not None:
        _, own = split(proposal.params, method.hyperparameters, is_neural=False)
        yield from fit_closed_form(method.fit, own, train, validation)
        return
    state = build_state(setup, proposal.params, proposal.seed, len(train))
    yield from fit(state, train, validation, proposal.evaluations)


def reports(
    setup: TrialSetup, proposal: Proposal, train: Any, validation: Any, keep: Path | None = None
) -> Generator[dict[str, Any], None, None]:
    """One report for each evaluation of a training.

    Args:
        setup: What the study's trials share.
        proposal: What to train.
        train: Training inputs of the kind that the method reads.
        validation: Validation inputs of the same kind.
        keep: Where to leave what was trained, once it has finished.
    """
    from tune_sentiment.memory import peak_memory_bytes, reset_peak_memory

    reset_peak_memory(setup.device)
    metric = metric_named(setup.metric)
    better = max if metric.mode == "max" else min
    best: float | None = None
    facts = {"started_at": now(), **_facts(setup, proposal, train, validation)}
    trained: dict[str, Any] = {}
    count = 0
    try:
        with contextlib.closing(evaluations_of(setup, proposal, train, validation)) as evaluations:
            for count, made in enumerate(evaluations, start=1):
                value = made.metrics.get(setup.metric)
                if value is not None:
                    best = value if best is None else better(best, value)
                if made.classifier is not None:
                    trained = {
                        "num_trainable_params": made.classifier.num_trainable_params,
                        "num_total_params": made.classifier.num_total_params,
                    }
                if made.status == "finished" and keep is not None:
                    from safetensors.numpy import save

                    write_bytes(keep, save(made.classifier.tensors()))
                measured = _measured(made, peak_memory_bytes(setup.device))
                yield _report(made.status, count, best, {**facts, **trained, **measured})
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        peak = {"peak_memory_bytes": peak_memory_bytes(setup.device), "error": str(error)[:500]}
        yield _report("oom", count + 1, best, {**facts, **trained, **peak})


def _report(
    status: str, evaluation: int, best: float | None, details: dict[str, Any]
) -> dict[str, Any]:
    objective = math.nan if best is None else best  # Ray wants a number; the ledger writes null
    return {
        "status": status,
        "evaluation": evaluation,
        "objective": objective,
        "details": details,
    }


def _facts(setup: TrialSetup, proposal: Proposal, train: Any, validation: Any) -> dict[str, Any]:
    reads_features = hasattr(train, "seconds")
    batch_size = proposal.params.get("batch_size")
    return {
        "host": host(),
        "device": device_name(setup.device),
        "num_threads": setup.num_threads,
        "precision": setup.plan.get("precision"),
        "micro_batch_size": batch_size,
        "accumulation": None if batch_size is None else 1,
        "features_seconds": train.seconds + validation.seconds if reads_features else None,
    }


def _measured(made: Any, peak: int | None) -> dict[str, Any]:
    seconds = made.train_seconds
    return {
        "metrics": made.metrics,
        "epochs_run": made.epoch,
        "train_loss": made.train_loss,
        "train_loss_curve": made.train_loss_curve,
        "train_seconds": seconds,
        "eval_seconds": made.eval_seconds,
        "train_samples_per_second": made.samples / seconds if seconds else None,
        "train_steps_per_second": made.steps / seconds if seconds and made.steps else None,
        "peak_memory_bytes": peak,
        "converged": made.converged,
    }


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a CPU or a GPU has no memory left."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY_WORDS)


def run_trial(
    config: dict[str, Any], *, setup: TrialSetup, train: Any, validation: Any, keep: Path | None
) -> None:
    """Ray Tune's function: train one proposal and report each evaluation.

    Args:
        config: A proposal as ``as_dict`` wrote it.
        setup: What the study's trials share.
        train: Reference to the training inputs in the object store.
        validation: Reference to the validation inputs.
        keep: Folder for what finished runs trained; ``None`` to keep nothing.
    """
    import ray
    import torch
    from ray import tune

    torch.set_num_threads(setup.num_threads)
    gc.collect()  # what the actor's last trial left
    if setup.device != "cpu":
        torch.cuda.empty_cache()
    proposal = Proposal.from_dict(config)
    path = None if keep is None else keep / f"{proposal.key}.safetensors"
    training, validating = ray.get([train[0], validation[0]])
    with contextlib.closing(reports(setup, proposal, training, validating, path)) as made:
        for report in made:
            tune.report(report)
