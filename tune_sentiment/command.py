"""What the command does with resolved studies: say what they are, or run them one after another."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tune_sentiment.config import Resources
from tune_sentiment.cost import Calibration, calibrate, cost_line, forecast_seconds
from tune_sentiment.data import load_train_val
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.study import Study, open_folder


def search(studies: Sequence[Study], resources: Resources, results: Path) -> None:
    """Run what is missing of each study, and confirm its winner.

    Starts nothing when every study is complete.
    """
    from tune_sentiment.confirm import missing_confirmations
    from tune_sentiment.tuner import missing_trials

    folders = [StudyFolder(results / study.id) for study in studies]
    todo = [
        (study, folder)
        for study, folder in zip(studies, folders, strict=True)
        if missing_trials(study, folder) or missing_confirmations(study, folder)
    ]
    if not todo:
        _say("every study is complete")
        return
    from tune_sentiment import confirm, tuner
    from tune_sentiment.session import SharedInputs, ray_session

    _say("starting Ray")
    with ray_session(resources):
        source, config = studies[0].source, studies[0].config
        train, validation = load_train_val(
            source.dataset,
            mirror=source.mirror,
            train_samples=config.train_samples,
            seed=config.seed,
        )
        inputs = tuner.Inputs(
            *(
                SharedInputs(source.backbone, split, config.max_length, source.device)
                for split in (train, validation)
            )
        )
        for study, folder in todo:
            open_folder(study, results)
            _say(f"{study.id}: {_announce(study, folder, inputs, resources)}")
            tuner.run(study, folder, inputs, resources)
            confirm.confirm(study, folder, inputs, resources)


def _announce(study: Study, folder: StudyFolder, inputs: Any, resources: Resources) -> str:
    import ray

    from tune_sentiment.confirm import missing_confirmations
    from tune_sentiment.session import plan_slots
    from tune_sentiment.tuner import missing_trials, trial_setup

    trials = missing_trials(study, folder)
    count = f"{trials} trials to run" if trials else "search complete"
    if not study.method.is_neural:
        return f"{count}, on frozen features computed once"
    slots = plan_slots(resources, study.source.device, max(1, trials))
    remote = ray.remote(calibrate).options(num_cpus=slots.cpus, num_gpus=slots.gpus)
    measured = ray.get(
        remote.remote(
            trial_setup(study, slots), typical_params(study), study.config.seed, inputs.train.tokens
        )
    )
    seconds = forecast_seconds(
        study,
        measured,
        trials=trials,
        confirmations=missing_confirmations(study, folder),
        concurrency=slots.concurrency,
    )
    return f"{count}, {cost_line(study, seconds, _cores())}"


def typical_params(study: Study) -> dict[str, Any]:
    """The configuration that a forecast is measured with: the first start point, pins included."""
    first = next(iter(study.space.start), {})
    return {**first, **(study.space.fixed or {})}


def describe(studies: Sequence[Study], resources: Resources, results: Path) -> str:
    """What the command would do: studies, their ids, what is done, and a forecast."""
    blocks = []
    for study in studies:
        folder = StudyFolder(results / study.id)
        done = folder.trials()
        space = study.space
        pinned = ", ".join(f"{name}={value}" for name, value in (space.fixed or {}).items())
        lines = [
            study.id,
            f"  folder       {folder.path}",
            f"  dataset      {study.source.dataset.name}: " + _splits(study),
            f"  model        {study.source.backbone.name} ({study.source.backbone.fingerprint})",
            f"  searched     {', '.join(space.params) or 'nothing: all pinned'}",
            f"  pinned       {pinned or 'nothing'}",
            f"  metric       {study.config.metric}, comparison {study.comparison}",
            f"  trials       {len(done)} of {study.config.trials} done",
        ]
        if study.method.is_neural:
            lines.append(f"  forecast     {_dry_forecast(study, len(done), resources)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _splits(study: Study) -> str:
    counts = {name: summary.rows for name, summary in study.source.splits.items()}
    return ", ".join(
        f"{study.num_train if name == 'train' else rows:,} {name}" for name, rows in counts.items()
    )


def _dry_forecast(study: Study, done: int, resources: Resources) -> str:
    from tune_sentiment.tokens import tokenise
    from tune_sentiment.trainable import TrialSetup

    source, config = study.source, study.config
    train, _ = load_train_val(
        source.dataset, mirror=source.mirror, train_samples=config.train_samples, seed=config.seed
    )
    tokens = tokenise(source.backbone, train.texts, train.labels, config.max_length)
    trials = max(0, config.trials - done)
    concurrency = max(1, min(resources.concurrency or _cores(), _cores(), trials))
    setup = TrialSetup(
        method=config.method,
        backbone=source.backbone,
        classes=source.dataset.classes,
        metric=config.metric,
        plan=study.plan,
        device=source.device,
        num_threads=max(1, _cores() // concurrency),
    )
    measured: Calibration = calibrate(setup, typical_params(study), config.seed, tokens)
    seconds = forecast_seconds(
        study,
        measured,
        trials=trials,
        confirmations=config.confirm_seeds,
        concurrency=concurrency,
    )
    return cost_line(study, seconds, _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
