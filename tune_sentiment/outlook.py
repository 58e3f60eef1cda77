"""What studies will do and take, said as a search begins.

A neural study is calibrated with its start configuration: a few steps, then thrown away.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from tune_sentiment.config import Resources
from tune_sentiment.cost import Calibration, Hardware, calibrate, cost_line, forecast_seconds
from tune_sentiment.failures import Failures
from tune_sentiment.forecast import Forecast, forecast, total
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.progress import say
from tune_sentiment.screen import FEW
from tune_sentiment.slots import Slots
from tune_sentiment.splits import PHRASE_WORDS
from tune_sentiment.study import Study

if TYPE_CHECKING:
    from tune_sentiment.sharing import Sharing
    from tune_sentiment.workload import Inputs


def announce(
    work: "Sequence[tuple[Study, StudyFolder]]",
    inputs: "Mapping[str, Inputs]",
    resources: Resources,
    sharing: "Sharing",
    failures: Failures,
    price_per_hour: float | None,
) -> dict[str, Forecast]:
    """Say what is to run of each study and how long it takes; returns forecasts of the whole.

    Studies are calibrated side by side, as they will train, but each on a whole GPU.

    Args:
        work: The studies and their ledgers.
        inputs: Of each comparison.
        resources: What was asked for.
        sharing: Says how many trainings of a study have room on a GPU.
        failures: Takes studies whose inputs cannot be made.
        price_per_hour: Of a device.
    """
    from tune_sentiment.machines import hardware
    from tune_sentiment.session import remotely
    from tune_sentiment.workload import slots_for, trial_setup

    asked: dict[str, Any] = {}
    for study, _ in work:
        with failures.of(study.id):
            slots = slots_for(study, resources, study.side_by_side, sharing.of(study))
            if found := sharing.line(study, slots):
                say(f"{study.id}: {found}")
            if study.method.reads_features:
                continue
            alone = slots.unshared  # beside others it would measure them, too
            setup, params = trial_setup(study, alone), typical_params(study)
            tokens = inputs[study.comparison].train.tokens
            asked[study.id] = remotely(calibrate, alone, setup, params, study.config.seed, tokens)
    made, rest, there = {}, [], hardware(resources)
    for study, folder in work:
        if study.id in failures:
            continue
        with failures.of(study.id):
            slots = slots_for(study, resources, study.side_by_side, sharing.of(study))
            measured, why = None, "on frozen features computed once"
            if study.id in asked:
                measured, why = _calibrated(asked[study.id])
            trials, confirmations = still_to_run(study, folder)
            if measured is not None:
                why = time_line(study, measured, trials, confirmations, slots, there)
            say(f"{study.id}: {_rest(trials, folder)}, {why}")
            for point, won in tried_first(study) if trials else ():
                say(f"{study.id}: first {point} ({won})")
            of_this = partial(forecast, study, measured, slots, price_per_hour=price_per_hour)
            made[study.id] = of_this()
            rest.append(of_this(done=study.num_trials - trials, confirmations=confirmations))
    if len(rest) > FEW:
        for line in total(rest, there):
            say(line)
    return made


def _calibrated(reference: Any) -> tuple[Calibration | None, str]:
    try:
        measured: Calibration = ray.get(reference)
    except RayError as error:  # the trials will say what is wrong, each in its record
        return None, f"no forecast: {str(error).strip().splitlines()[-1]}"
    return measured, ""


def _rest(trials: int, folder: StudyFolder) -> str:
    line = f"{trials} trials to run" if trials else "search complete"
    if trials and folder.test_openings():
        line += " (the test split was opened before; a new winner opens it again)"
    return line


def tried_first(study: Study) -> list[tuple[str, str]]:
    """The points from earlier searches that a study begins with, and where each one won."""
    return [
        (setting(point), f"won on {about['dataset']} with {about['model']}: {about['study']}")
        for point, about in zip(study.space.prior, study.prior_from, strict=True)
    ]


def setting(values: Mapping[str, Any]) -> str:
    """Hyperparameters in a line."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def still_to_run(study: Study, folder: StudyFolder) -> tuple[int, int]:
    """Trials and confirmation runs that a study still has to end."""
    from tune_sentiment.confirm_plan import missing_confirmations
    from tune_sentiment.workload import missing_trials

    return missing_trials(study, folder), missing_confirmations(study, folder)


def time_line(
    study: Study,
    measured: Calibration,
    trials: int,
    confirmations: int,
    slots: Slots,
    there: Hardware,
) -> str:
    """How long what is still to run takes there, in a line."""
    seconds = forecast_seconds(
        study, measured, trials=trials, confirmations=confirmations, concurrency=slots.in_turn
    )
    return cost_line(study, seconds, there)


def typical_params(study: Study) -> dict[str, Any]:
    """The configuration that a forecast is measured with, pins included."""
    return {**study.space.example(), **(study.space.fixed or {})}


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
