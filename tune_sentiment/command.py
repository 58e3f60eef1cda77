"""What the command does with resolved studies: say what they are, or run them one after another."""

import errno
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError

from tune_sentiment.config import Resources
from tune_sentiment.cost import Calibration, calibrate, cost_line, forecast_seconds
from tune_sentiment.data import load_train_val
from tune_sentiment.errors import StartError
from tune_sentiment.inside import check_study
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import study_lock
from tune_sentiment.objects import StorageError
from tune_sentiment.places import address_of
from tune_sentiment.progress import say
from tune_sentiment.provenance import cores
from tune_sentiment.splits import PHRASE_WORDS
from tune_sentiment.study import Study

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def search(studies: Sequence[Study], resources: Resources, results: Path) -> None:
    """Run what is missing of each study, confirm its winner, then open the test split.

    Starts nothing when every study is complete.
    """
    from tune_sentiment import confirm, preflight, tuner
    from tune_sentiment.confirm_plan import is_complete
    from tune_sentiment.session import SharedInputs, ray_session
    from tune_sentiment.workload import Inputs

    folders = [(study, StudyFolder(results / study.id)) for study in studies]
    for _, folder in folders:
        check_study(folder.path)
    todo = [(study, folder) for study, folder in folders if not is_complete(study, folder)]
    for study, folder in folders:
        if (study, folder) not in todo:
            _tidy_complete(folder)
    if not todo:
        say("every study is complete")
        return
    preflight.check([study for study, _ in todo], resources, results)
    with ExitStack() as held:
        for _, folder in todo:
            held.enter_context(study_lock(folder.path))
        say("starting Ray")
        held.enter_context(ray_session(resources))
        source, config = studies[0].source, studies[0].config
        train, validation = load_train_val(
            source.dataset,
            mirror=source.mirror,
            train_samples=config.train_samples,
            seed=config.seed,
            planned=source.splits,
        )
        inputs = Inputs(
            *(
                SharedInputs(source.backbone, split, config.max_length, source.device)
                for split in (train, validation)
            )
        )
        say(f"{source.dataset.name}: {describe_counts(studies[0])}")
        if warning := shared_texts(studies[0]):
            say(warning)
        for study, folder in todo:
            say(f"{study.id}: {_announce(study, folder, inputs, resources)}")
        with _disk_errors(results):
            tuner.run(todo, inputs, resources, partial(confirm.finish, inputs))


def _tidy_complete(folder: StudyFolder) -> None:
    """Delete what a process that was killed at the very end left of a study."""
    with suppress(StartError, OSError), study_lock(folder.path):
        folder.tidy()
        folder.drop_tensors()


@contextmanager
def _disk_errors(results: Path) -> Generator[None, None, None]:
    """Say in one line that the disk takes no more.

    Raises:
        StartError: If the body fails so.
    """
    try:
        yield
    except (OSError, RayTaskError) as error:
        cause = getattr(error, "cause", error)  # of a task in a worker
        if isinstance(cause, StorageError):
            raise cause from error
        said = [os.strerror(number) for number in DISK_ERRORS if os.strerror(number) in str(cause)]
        if not said:
            raise
        raise StartError(
            f"cannot write in {results}: {said[0]}. Everything that ended before is kept; the "
            "same command goes on once there is room"
        ) from error


def _announce(study: Study, folder: StudyFolder, inputs: Any, resources: Resources) -> str:
    from ray.exceptions import RayError

    from tune_sentiment.session import remotely
    from tune_sentiment.workload import slots_for, trial_setup

    trials, confirmations = _still_to_run(study, folder)
    slots = slots_for(study, resources, study.side_by_side)
    line = f"{trials} trials to run" if trials else "search complete"
    if trials and folder.test_openings():
        line += " (the test split was opened before; a new winner opens it again)"
    if study.method.reads_features:
        return f"{line}, on frozen features computed once"
    setup, params = trial_setup(study, slots), typical_params(study)
    reference = remotely(calibrate, slots, setup, params, study.config.seed, inputs.train.tokens)
    try:
        measured: Calibration = ray.get(reference)
    except RayError as error:  # the trials will say what is wrong, each in its record
        return f"{line}, no forecast: {str(error).strip().splitlines()[-1]}"
    return f"{line}, {_forecast(study, measured, trials, confirmations, slots.concurrency)}"


def _still_to_run(study: Study, folder: StudyFolder) -> tuple[int, int]:
    from tune_sentiment.confirm_plan import missing_confirmations
    from tune_sentiment.workload import missing_trials

    return missing_trials(study, folder), missing_confirmations(study, folder)


def _forecast(
    study: Study, measured: Calibration, trials: int, confirmations: int, concurrency: int
) -> str:
    seconds = forecast_seconds(
        study, measured, trials=trials, confirmations=confirmations, concurrency=concurrency
    )
    return cost_line(study, seconds, cores())


def typical_params(study: Study) -> dict[str, Any]:
    """The configuration that a forecast is measured with, pins included."""
    return {**study.space.example(), **(study.space.fixed or {})}


def describe(studies: Sequence[Study], resources: Resources, results: Path) -> str:
    """What the command would do: studies, their ids, what is done, and a forecast."""
    blocks = []
    for study in studies:
        folder = StudyFolder(results / study.id)
        done, missing = len(folder.trials()), _still_to_run(study, folder)[0]
        space = study.space
        pinned = _setting(space.fixed or {})
        searched = f"  searched     {', '.join(space.params) or 'nothing: all pinned'}"
        plan = [f"  plan         {study.config.max_epochs} epochs, {study.config.padding} padding"]
        runs = [f"  runs         {_setting(point)}" for point in space.start if point]
        lines = [
            study.id,
            f"  folder       {address_of(folder.path)}",
            f"  dataset      {study.source.dataset.name}: {describe_counts(study)}",
            f"  model        {study.source.backbone.name} ({study.source.backbone.fingerprint})",
            *(runs if space.is_listed else [searched]),
            f"  pinned       {pinned or 'nothing'}",
            *(plan if study.plan else []),
            f"  metric       {study.config.metric}, comparison {study.comparison}",
            f"  trials       {done} done, {missing} to run",
        ]
        if not study.method.reads_features:
            lines.append(f"  forecast     {_dry_forecast(study, folder, resources)}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def describe_counts(study: Study) -> str:
    """Texts of each split, and what of train stands in the others."""
    parts = []
    for name, summary in study.source.splits.items():
        rows = study.num_train if name == "train" else summary.rows
        share = summary.share_with_training_phrase
        leak = "" if share is None else f" ({100 * share:.1f} %)"
        parts.append(f"{rows:,} {name}{leak}")
    words = f"in brackets: contain a training text of {PHRASE_WORDS} words or more"
    if dropped := max(summary.dropped for summary in study.source.splits.values()):
        words = f"{dropped:,} rows without a text left out of a file; {words}"
    classes = ", ".join(study.source.dataset.classes)
    return f"{', '.join(parts)}; {words}; classes: {classes}"


def shared_texts(study: Study) -> str | None:
    """A warning where texts of validation or test stand in train, too."""
    parts = [
        f"{summary.num_texts_in_train:,} of {name}"
        for name, summary in study.source.splits.items()
        if summary.num_texts_in_train
    ]
    return f"warning: texts that stand in train, too: {', '.join(parts)}" if parts else None


def _dry_forecast(study: Study, folder: StudyFolder, resources: Resources) -> str:
    from tune_sentiment.preflight import local_slots
    from tune_sentiment.tokens import tokenise
    from tune_sentiment.workload import trial_setup

    source, config = study.source, study.config
    trials, confirmations = _still_to_run(study, folder)
    slots = local_slots(study, resources, study.side_by_side)
    train, _ = load_train_val(
        source.dataset, mirror=source.mirror, train_samples=config.train_samples, seed=config.seed
    )
    tokens = tokenise(source.backbone, train.texts, train.labels, config.max_length)
    setup, params = trial_setup(study, slots), typical_params(study)
    measured = calibrate(setup, params, config.seed, tokens)
    return _forecast(study, measured, trials, confirmations, slots.concurrency)
