"""Running trainings: plan from the ledger, let Ray Tune run what is missing, go on when it dies.

Each run of Ray Tune is a new one that is filled from the ledger, whether the one before was ended
by a signal, by a time budget or by an error of Ray's.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from tune_sentiment.config import Resources
from tune_sentiment.errors import Escape, StartError
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.progress import Progress, say
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.searcher import FixedSearch, Search
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study
from tune_sentiment.supervisor import MAX_LOSSES, Supervisor
from tune_sentiment.trainable import run_trial
from tune_sentiment.workload import (
    Inputs,
    asked_trials,
    missing_trials,
    scheduler_and_recorder,
    slots_for,
    trial_setup,
)


def run(study: Study, folder: StudyFolder, inputs: Inputs, resources: Resources) -> None:
    """Search until the study has as many ended trials as were asked for, or its time is over.

    Trials that an earlier session left open go on first. Says so when the space is used up.
    """
    minutes = study.config.time_budget_minutes
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    supervisor = Supervisor(say)
    folder.tidy()
    scheduler_and_recorder(study, folder)[1].close_ended()
    while missing := missing_trials(study, folder):
        if deadline is not None and time.monotonic() >= deadline:
            return
        past = folder.history()
        still_open = {trial.proposal.key for trial in past if trial.status is None}
        alone = supervisor.suspects(still_open)
        later = still_open - alone
        past.sort(key=lambda trial: trial.proposal.key in later)
        searcher = Search(study.space, mode=study.metric.mode, seed=study.config.seed, past=past)
        scheduler, recorder = scheduler_and_recorder(study, folder)
        # Threads follow from what was asked for, not from what is missing: they change the numbers.
        slots = slots_for(study, resources, asked_trials(study))
        progress = Progress(
            title=f"{study.config.method} on {study.source.dataset.name}",
            total=len(alone) or missing,
            evaluations=study.planned_evaluations,
            metric=study.config.metric,
            searched=list(study.space.params),
            is_stopped=recorder.is_stopped,
        )
        with supervisor.watch(recorder), progress:
            fit(
                study,
                folder,
                inputs,
                replace(slots, concurrency=1) if alone else slots,
                num_samples=len(alone) or missing,
                searcher=searcher,
                scheduler=scheduler or FIFOScheduler(),
                callbacks=[recorder, progress],
                storage=folder.path / "ray",
                time_budget_seconds=deadline and max(1.0, deadline - time.monotonic()),
            )
        is_cut_off = supervisor.has_died or any(t.status is None for t in folder.history())
        if searcher.is_exhausted and not is_cut_off:
            folder.mark_exhausted()
            say("the search finds no configuration that it has not tried; it is complete")
        if supervisor.has_died:
            gc.collect()  # what the dead run held: its actors and their cores
            scheduler_and_recorder(study, folder)[1].close_ended()
        elif not alone:
            return


def run_fixed(
    study: Study,
    folder: StudyFolder,
    inputs: Inputs,
    resources: Resources,
    proposals: Sequence[Proposal],
    new_recorder: Callable[[], Recorder],
    *,
    planned: int,
    title: str,
    storage: Path,
    keep: Path | None = None,
) -> None:
    """Run exactly these proposals, to their ends, through the same Tuner path as a search.

    Args:
        study: Whose they are.
        folder: The study's folder.
        inputs: Training and validation.
        resources: What was asked for.
        proposals: Those without a record.
        new_recorder: Makes a recorder that knows what the proposals have behind them.
        planned: How many there were to begin with; threads follow from that.
        title: Shown while they run.
        storage: Folder for Ray's own files.
        keep: Where what they train is left.
    """
    supervisor = Supervisor(say)
    missing = _without_ended(proposals, new_recorder())
    while missing:
        alone = supervisor.suspects(proposal.key for proposal in missing)
        now = [p for p in missing if p.key in alone] or missing
        recorder = new_recorder()
        slots = slots_for(study, resources, planned)
        progress = Progress(
            title=title,
            total=len(now),
            evaluations=max(p.evaluations or study.planned_evaluations for p in now),
            metric=study.config.metric,
            searched=["seed"],
            noun="run of trial",
            is_stopped=recorder.is_stopped,
        )
        with supervisor.watch(recorder), progress:
            fit(
                study,
                folder,
                inputs,
                replace(slots, concurrency=1) if alone else slots,
                num_samples=len(now),
                searcher=FixedSearch(now, mode=study.metric.mode),
                scheduler=FIFOScheduler(),
                callbacks=[recorder, progress],
                storage=storage,
                keep=keep,
            )
        missing = [p for p in missing if p.key not in recorder.ended]
        if supervisor.has_died:
            gc.collect()  # what the dead run held: its actors and their cores
            missing = _without_ended(missing, new_recorder())
        elif not alone:
            return


def _without_ended(proposals: Sequence[Proposal], recorder: Recorder) -> list[Proposal]:
    """Those that are not recorded as soon as what is known of their ends is written."""
    recorder.close_ended()
    return [proposal for proposal in proposals if proposal.key not in recorder.ended]


def fit(
    study: Study,
    folder: StudyFolder,
    inputs: Inputs,
    slots: Slots,
    *,
    num_samples: int,
    searcher: Any,
    scheduler: Any,
    callbacks: list[Any],
    storage: Path,
    time_budget_seconds: float | None = None,
    keep: Path | None = None,
) -> None:
    """One run of Ray Tune; its own files in ``storage`` are a cache that nothing reads.

    The inputs are made before the first trial takes its cores: a trial that waited for them inside
    its own reservation could keep them from ever being made.

    Args:
        study: Whose trainings run.
        folder: The study's folder, where they leave checkpoints.
        inputs: Training and validation.
        slots: How many run at once, and what each gets.
        num_samples: How many there are to run.
        searcher: Says which.
        scheduler: Ends some early.
        callbacks: Are told what happens.
        storage: Folder for Ray's own files.
        time_budget_seconds: When to stop, with what runs left open.
        keep: Folder for what finished runs trained.

    Raises:
        StartError: If the inputs cannot be made.
    """
    references = inputs.references(study.method)
    try:
        ray.get([reference for held in references.values() for reference in held])
    except ray.exceptions.RayTaskError as error:
        raise StartError(f"the inputs cannot be made: {error.cause}") from error
    trainable = tune.with_parameters(
        run_trial,
        setup=trial_setup(study, slots, folder),
        keep=keep,
        **references,
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": slots.cpus, "GPU": slots.gpus}),
        tune_config=tune.TuneConfig(
            num_samples=num_samples,
            search_alg=searcher,
            scheduler=scheduler,
            max_concurrent_trials=slots.concurrency,
            time_budget_s=time_budget_seconds,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage.resolve()),
            failure_config=tune.FailureConfig(max_failures=MAX_LOSSES - 1),
            callbacks=callbacks,
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except Escape as escape:
        raise escape.__cause__ or escape from None
