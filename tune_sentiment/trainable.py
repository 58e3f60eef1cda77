"""The bridge between Ray and training: a proposal comes in, reports go out.

A report is what the driver needs to decide and to record: ``status``, ``evaluation``, the
``objective`` (the searched metric's best value so far) and ``details``.
"""

import contextlib
import math
import sys
import traceback
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_sentiment.config import split
from tune_sentiment.durable import write_bytes
from tune_sentiment.methods import METHODS
from tune_sentiment.metrics import Mode, metric_named
from tune_sentiment.objects import StorageError
from tune_sentiment.places import join
from tune_sentiment.proposal import Proposal
from tune_sentiment.provenance import device_name, host
from tune_sentiment.records import LONGEST_ERROR
from tune_sentiment.trial_setup import TrialSetup, build_state

# What torch says in a plain RuntimeError: its CPU allocator, late CUDA errors, cuBLAS.
OUT_OF_MEMORY_WORDS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


class Objective:
    """The searched metric's best value so far, ``None`` before the first, and after how many looks.

    Args:
        mode: ``max`` or ``min``.
    """

    def __init__(self, mode: Mode) -> None:
        self.better = max if mode == "max" else min
        self.value: float | None = None
        self.evaluation = 0

    def note(self, evaluation: int, value: float | None) -> None:
        """Take an evaluation's value into account."""
        self.evaluation = evaluation
        if value is not None:
            self.value = value if self.value is None else self.better(self.value, value)


def evaluations_of(
    setup: TrialSetup, proposal: Proposal, train: Any, validation: Any, objective: Objective
) -> Generator[Any, None, None]:
    """The evaluations of one training, by whichever way its method trains.

    One that has a checkpoint goes on from there, and ``objective`` with it.
    """
    from tune_sentiment.checkpoint import Checkpoints
    from tune_sentiment.closed_form import fit_closed_form
    from tune_sentiment.train import fit

    method = METHODS[setup.method]
    if method.fit is not None:
        _, own = split(proposal.params, method.hyperparameters, is_neural=False)
        yield from fit_closed_form(method.fit, own, train, validation)
        return
    state = build_state(setup, proposal.params, proposal.seed, train)
    folder = None if setup.checkpoints is None else setup.checkpoints / proposal.key
    checkpoints = Checkpoints(folder, setup.checkpoint_seconds)
    best = checkpoints.restore(state)
    objective.note(state.evaluation, best)
    yield from fit(
        state,
        train,
        validation,
        proposal.evaluations,
        save=lambda: checkpoints.save(state, objective.value),
    )


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
    objective = Objective(metric_named(setup.metric).mode)
    facts = _facts(setup, proposal, train, validation)
    trained: dict[str, Any] = {}
    try:
        with contextlib.closing(
            evaluations_of(setup, proposal, train, validation, objective)
        ) as evaluations:
            for made in evaluations:
                objective.note(made.evaluation, made.metrics.get(setup.metric))
                if made.classifier is not None:
                    trained = {
                        "num_trainable_params": made.classifier.num_trainable_params,
                        "num_total_params": made.classifier.num_total_params,
                    }
                if made.status == "finished" and keep is not None:
                    from safetensors.numpy import save

                    write_bytes(keep, save(made.classifier.tensors()))
                measured = _measured(made, peak_memory_bytes(setup.device))
                details = {**facts, **trained, **measured}
                yield _report(made.status, objective, details)
    except StorageError:  # not the training's: it is tried again, and then the command ends
        raise
    except Exception as error:  # an error that left here would make Ray try again
        print(traceback.format_exc(), file=sys.stderr)
        status = "oom" if is_out_of_memory(error) else "failed"
        said = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
        end = {"peak_memory_bytes": peak_memory_bytes(setup.device), "error": said}
        objective.note(objective.evaluation + 1, None)
        yield _report(status, objective, {**facts, **trained, **end})


def _report(status: str, objective: Objective, details: dict[str, Any]) -> dict[str, Any]:
    best = objective.value
    return {
        "status": status,
        "evaluation": objective.evaluation,
        "objective": math.nan if best is None else best,  # Ray wants a number
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


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the trainings of one study need, beside their proposals.

    Args:
        setup: What they share.
        train: Reference to the training inputs in the object store, in a list, so that it reaches
            a training as a reference.
        validation: Reference to the validation inputs, likewise.
        keep: Folder for what confirmation runs trained.
    """

    setup: TrialSetup
    train: list[Any]
    validation: list[Any]
    keep: Path


def run_trial(config: dict[str, Any], *, jobs: Mapping[str, Job]) -> None:
    """Ray Tune's function: train one proposal and report each evaluation.

    Args:
        config: A proposal as ``as_dict`` wrote it, and the id of its ``study``.
        jobs: What each study's trainings need.
    """
    import ray
    import torch
    from ray import tune

    from tune_sentiment.memory import free_memory

    job, proposal = jobs[config["study"]], Proposal.from_dict(config)
    setup = job.setup
    torch.set_num_threads(setup.num_threads)
    join(setup.storage)
    is_kept = proposal.origin == "confirm"
    path = job.keep / f"{proposal.key}.safetensors" if is_kept else None
    training, validating = ray.get([job.train[0], job.validation[0]])
    try:
        with contextlib.closing(reports(setup, proposal, training, validating, path)) as made:
            for report in made:
                tune.report(report)
    finally:
        free_memory(setup.device, setup.method)
