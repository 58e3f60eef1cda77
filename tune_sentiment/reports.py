"""A training from its proposal on, whatever its method: one report for each evaluation.

A report is what the driver needs to decide and to record: ``status``, ``evaluation``, the
``objective`` (the searched metric's best value so far) and ``details``.
"""

import contextlib
import math
import sys
import traceback
from collections.abc import Generator
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

STORE_AWAY = "store away"  # of a report that ends the command: no training ends so, and no record


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
        self.evaluation = max(self.evaluation, evaluation)
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
    setup: TrialSetup,
    proposal: Proposal,
    train: Any,
    validation: Any,
    keep: Path | None = None,
    *,
    has_second_try: bool | None = None,
) -> Generator[dict[str, Any], None, None]:
    """One report for each evaluation of a training.

    One that a GPU has not enough memory for is tried once more with half as many texts at a time,
    from its last checkpoint if it has one. The accumulated gradients are those of the whole batch.
    That the object store does not answer is no training's failure: the last report then says so.

    Args:
        setup: What the study's trials share.
        proposal: What to train.
        train: Training inputs of the kind that the method reads.
        validation: Validation inputs of the same kind.
        keep: Where to leave what was trained, once it has finished.
        has_second_try: Whether a lack of memory has one; if not given, where the device is a GPU.
    """
    if has_second_try is None:
        has_second_try = setup.device != "cpu"
    objective = Objective(metric_named(setup.metric).mode)
    try:
        join(setup.storage)
        yield from _tries(setup, proposal, train, validation, keep, objective, has_second_try)
    except StorageError as error:
        yield _report(STORE_AWAY, objective, {"error": str(error)})


def _tries(
    setup: TrialSetup,
    proposal: Proposal,
    train: Any,
    validation: Any,
    keep: Path | None,
    objective: Objective,
    has_second_try: bool,
) -> Generator[dict[str, Any], None, None]:
    """A report for each evaluation of one try, or of two."""
    from tune_sentiment.memory import is_out_of_memory, peak_memory_bytes, release_memory

    setup = _as_it_was(setup, proposal)
    while True:
        facts = _facts(setup, proposal, train, validation)
        try:
            yield from _one_try(setup, proposal, train, validation, keep, objective, facts)
            return
        except StorageError:
            raise
        except Exception as error:  # an error that left here would make Ray try again
            print(traceback.format_exc(), file=sys.stderr)
            is_oom = is_out_of_memory(error)
            smaller = setup.in_halves(proposal.params) if is_oom and has_second_try else None
            if smaller is None:
                said = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
                end = {"peak_memory_bytes": peak_memory_bytes(setup.device), "error": said}
                objective.note(objective.evaluation + 1, None)
                yield _report("oom" if is_oom else "failed", objective, {**facts, **end})
                return
        setup = smaller
        release_memory(setup.device)  # the error, and with it the model, is gone by now


def _one_try(
    setup: TrialSetup,
    proposal: Proposal,
    train: Any,
    validation: Any,
    keep: Path | None,
    objective: Objective,
    facts: dict[str, Any],
) -> Generator[dict[str, Any], None, None]:
    """A report for each evaluation that was not reported before; ``facts`` learns what trains."""
    from tune_sentiment.memory import peak_memory_bytes, reset_peak_memory

    reset_peak_memory(setup.device)
    reported = objective.evaluation
    with contextlib.closing(
        evaluations_of(setup, proposal, train, validation, objective)
    ) as evaluations:
        for made in evaluations:
            if made.status == "running" and made.evaluation <= reported:
                continue
            objective.note(made.evaluation, made.metrics.get(setup.metric))
            if made.classifier is not None:
                facts |= {
                    "num_trainable_params": made.classifier.num_trainable_params,
                    "num_total_params": made.classifier.num_total_params,
                }
            if made.status == "finished" and keep is not None:
                from safetensors.numpy import save

                write_bytes(keep, save(made.classifier.tensors()))
            measured = _measured(made, peak_memory_bytes(setup.device))
            yield _report(made.status, objective, {**facts, **measured})


def _as_it_was(setup: TrialSetup, proposal: Proposal) -> TrialSetup:
    """The setup with as many texts at a time as the training had when it was cut off."""
    from tune_sentiment.checkpoint import Checkpoints

    if setup.checkpoints is None or not setup.plan:
        return setup
    left = Checkpoints(setup.checkpoints / proposal.key, setup.checkpoint_seconds)
    return setup.at_a_time(left.micro_batch_size())


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
    micro = setup.plan.get("micro_batch_size") or batch_size
    return {
        "host": host(),
        "device": device_name(setup.device),
        "num_threads": setup.num_threads,
        "precision": setup.plan.get("precision"),
        "micro_batch_size": micro,
        "accumulation": None if batch_size is None else math.ceil(batch_size / micro),
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
