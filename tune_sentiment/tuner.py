"""Running trainings: plan from the ledger, let Ray Tune run what is missing, go on when it dies.

Each run of Ray Tune is a new one that is filled from the ledger, whether the one before was ended
by a signal, by a time budget or by an error of Ray's.
"""

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
from tune_sentiment.scheduler import Asha
from tune_sentiment.searcher import FixedSearch, Search
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study
from tune_sentiment.supervisor import MAX_LOSSES, Supervisor
from tune_sentiment.trainable import run_trial
from tune_sentiment.workload import Inputs, missing_trials, slots_for, trial_setup


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
        one_by_one = supervisor.has_suspects
        if one_by_one:
            missing = sum(trial.status is None for trial in past)
        searcher = Search(study.space, mode=study.metric.mode, seed=study.config.seed, past=past)
        scheduler, recorder = scheduler_and_recorder(study, folder)
        slots = slots_for(study, resources, missing)
        progress = Progress(
            title=f"{study.config.method} on {study.source.dataset.name}",
            total=missing,
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
                replace(slots, concurrency=1) if one_by_one else slots,
                num_samples=missing,
                searcher=searcher,
                scheduler=scheduler,
                callbacks=[recorder, progress],
                storage=folder.path / "ray",
                time_budget_seconds=deadline and max(1.0, deadline - time.monotonic()),
            )
        if searcher.is_exhausted:
            folder.mark_exhausted()
            say("the search finds no configuration that it has not tried; it is complete")
        if not supervisor.has_died and not one_by_one:
            return


def scheduler_and_recorder(study: Study, folder: StudyFolder) -> tuple[Any, Recorder]:
    """A search's scheduler and recorder, filled from the ledger."""
    past, settings = folder.history(), study.scheduler()
    asha = Asha(mode=study.metric.mode, settings=settings, past=past) if settings else None
    ended = {trial.proposal.key for trial in past if trial.status is not None}

    def write_record(record: Any, params: Any) -> None:
        folder.write_trial(record, params)
        folder.drop_checkpoints(record.key)

    recorder = Recorder(
        study_id=study.id,
        defaults=study.defaults,
        write_record=write_record,
        write_training=folder.write_training,
        is_stopped=asha.is_stopped if asha else lambda key: False,
        sequence=max((s for trial in past for s in trial.sequences), default=0),
        begun=[t for t in folder.trainings() if t.proposal.key not in ended],
    )
    return asha or FIFOScheduler(), recorder


def run_fixed(
    study: Study,
    folder: StudyFolder,
    inputs: Inputs,
    resources: Resources,
    proposals: Sequence[Proposal],
    new_recorder: Callable[[], Recorder],
    *,
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
        title: Shown while they run.
        storage: Folder for Ray's own files.
        keep: Where what they train is left.
    """
    supervisor = Supervisor(say)
    recorder = new_recorder()
    recorder.close_ended()
    missing = [p for p in proposals if p.key not in recorder.ended]
    while missing:
        recorder = new_recorder()
        slots = slots_for(study, resources, len(missing))
        progress = Progress(
            title=title,
            total=len(missing),
            evaluations=max(p.evaluations or study.planned_evaluations for p in missing),
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
                replace(slots, concurrency=1) if supervisor.has_suspects else slots,
                num_samples=len(missing),
                searcher=FixedSearch(missing, mode=study.metric.mode),
                scheduler=FIFOScheduler(),
                callbacks=[recorder, progress],
                storage=storage,
                keep=keep,
            )
        missing = [p for p in missing if p.key not in recorder.ended]
        if not supervisor.has_died:
            return


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
