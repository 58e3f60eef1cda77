"""Running a study: plan from the ledger, let Ray Tune run what is missing, record what ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler

from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.methods import Method
from tune_sentiment.progress import Progress
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.scheduler import Asha
from tune_sentiment.searcher import FixedSearch, Search
from tune_sentiment.session import SharedInputs, Slots, machine, plan_slots
from tune_sentiment.study import Study
from tune_sentiment.trainable import TrialSetup, run_trial


@dataclass(frozen=True)
class Inputs:
    """Training and validation of a comparison, shared by all its trainings."""

    train: SharedInputs
    validation: SharedInputs

    def references(self, method: Method) -> dict[str, list[Any]]:
        """The trainable's arguments; a reference in a list reaches it as a reference."""
        return {
            "train": [self.train.of(method)],
            "validation": [self.validation.of(method)],
        }


def trial_setup(study: Study, slots: Slots) -> TrialSetup:
    """What every training of the study shares."""
    return TrialSetup(
        method=study.config.method,
        backbone=study.source.backbone,
        classes=study.source.dataset.classes,
        metric=study.config.metric,
        plan=study.plan,
        device=study.device,
        num_threads=slots.cpus,
        max_length=study.config.max_length,
    )


def missing_trials(study: Study, folder: StudyFolder) -> int:
    """Trials that the study still has to end."""
    if folder.is_exhausted:
        return 0
    size = study.space.size()
    asked = study.config.trials if size is None else min(size, study.config.trials)
    return max(0, asked - len(folder.trials()))


def slots_for(study: Study, resources: Resources, trainings: int) -> Slots:
    """What each of a study's trainings gets on this Ray."""
    weights = study.source.backbone.weights_bytes if study.method.is_neural else 0
    return plan_slots(resources, machine(), study.device, max(1, trainings), weights)


def run(study: Study, folder: StudyFolder, inputs: Inputs, resources: Resources) -> None:
    """Search until the study has as many ended trials as were asked for.

    Trials that an earlier session left open go on first. Says so when the space is used up.
    """
    missing = missing_trials(study, folder)
    if not missing:
        return
    past = folder.history()
    mode = study.metric.mode
    searcher = Search(study.space, mode=mode, seed=study.config.seed, past=past)
    settings = study.scheduler()
    ended = [trial for trial in past if trial.status is not None]  # open ones begin anew
    scheduler = Asha(mode=mode, settings=settings, past=ended) if settings else FIFOScheduler()
    recorder = Recorder(
        study_id=study.id,
        defaults=study.defaults,
        write_record=folder.write_trial,
        write_evaluations=folder.write_evaluations,
        is_stopped=scheduler.is_stopped if isinstance(scheduler, Asha) else lambda key: False,
        sequence=max((s for trial in past for s in trial.sequences), default=0),
    )
    slots = slots_for(study, resources, missing)
    progress = Progress(
        title=f"{study.config.method} on {study.source.dataset.name}",
        total=missing,
        evaluations=study.planned_evaluations,
        metric=study.config.metric,
        searched=list(study.space.params),
        is_stopped=recorder.is_stopped,
    )
    minutes = study.config.time_budget_minutes
    with progress:
        fit(
            study,
            inputs,
            slots,
            num_samples=missing,
            searcher=searcher,
            scheduler=scheduler,
            callbacks=[recorder, progress],
            storage=folder.path / "ray",
            time_budget_seconds=None if minutes is None else 60 * minutes,
        )
    if searcher.is_exhausted:
        folder.mark_exhausted()
        progress.say("the search finds no configuration that it has not tried; it is complete")


def run_fixed(
    study: Study,
    inputs: Inputs,
    resources: Resources,
    proposals: Sequence[Proposal],
    recorder: Recorder,
    *,
    title: str,
    storage: Path,
    keep: Path | None = None,
) -> None:
    """Run exactly these proposals, to their ends, through the same Tuner path as a search."""
    slots = slots_for(study, resources, len(proposals))
    progress = Progress(
        title=title,
        total=len(proposals),
        evaluations=max(p.evaluations or study.planned_evaluations for p in proposals),
        metric=study.config.metric,
        searched=["seed"],
        noun="run",
        is_stopped=recorder.is_stopped,
    )
    with progress:
        fit(
            study,
            inputs,
            slots,
            num_samples=len(proposals),
            searcher=FixedSearch(proposals, mode=study.metric.mode),
            scheduler=FIFOScheduler(),
            callbacks=[recorder, progress],
            storage=storage,
            keep=keep,
        )


def fit(
    study: Study,
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
        setup=trial_setup(study, slots),
        keep=keep,
        **references,
    )
    tune.Tuner(
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
            callbacks=callbacks,
            verbose=0,
        ),
    ).fit()
