"""The bridge between Ray and training: a proposal comes in, reports go out."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_sentiment.proposal import Proposal
from tune_sentiment.reports import reports
from tune_sentiment.trial_setup import TrialSetup

# What Ray's configuration of a trial holds beside the proposal: its study, and what it gets.
STUDY, CPUS, GPUS = "study", "cpus", "gpus"


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


def resources_of(config: dict[str, Any]) -> Any:
    """What Ray Tune reserves for a trial, as its configuration says: those of a run differ."""
    from ray import tune

    return tune.PlacementGroupFactory([{"CPU": config[CPUS], "GPU": config[GPUS]}])


def run_trial(config: dict[str, Any], *, jobs: Mapping[str, Job]) -> None:
    """Ray Tune's function: train one proposal and report each evaluation.

    Args:
        config: A proposal as ``as_dict`` wrote it, and the id of its ``study``.
        jobs: What each study's trainings need.
    """
    import ray
    import torch
    from ray import tune

    from tune_sentiment.memory import free_memory, limit_memory

    job, proposal = jobs[config[STUDY]], Proposal.from_dict(config)
    setup = replace(job.setup, num_threads=config[CPUS], gpus=config[GPUS])
    torch.set_num_threads(setup.num_threads)
    limit_memory(setup.device, setup.gpus)
    is_kept = proposal.origin == "confirm"
    path = job.keep / f"{proposal.key}.safetensors" if is_kept else None
    training, validating = ray.get([job.train[0], job.validation[0]])
    try:
        with contextlib.closing(reports(setup, proposal, training, validating, path)) as made:
            for report in made:
                tune.report(report)
    finally:
        free_memory(setup.device, setup.method)
