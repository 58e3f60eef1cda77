"""What studies will do and take, said before they start: in a dry run, and as a search begins.

A neural study is calibrated with its start configuration: a few steps, then thrown away.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from tune_sentiment.config import Resources
from tune_sentiment.cost import Calibration, calibrate, cost_line, forecast_seconds
from tune_sentiment.data import load_train_val
from tune_sentiment.failures import Failures, reading
from tune_sentiment.footprint import Card, cards_here
from tune_sentiment.forecast import Forecast, forecast, lines, total
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.places import address_of
from tune_sentiment.progress import say
from tune_sentiment.provenance import cores, gpus
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

    Studies are calibrated side by side, as they will train.

    Args:
        work: The studies and their ledgers.
        inputs: Of each comparison.
        resources: What was asked for.
        sharing: Says how many trainings of a study have room on a GPU.
        failures: Takes studies whose inputs cannot be made.
        price_per_hour: Of a device.
    """
    from tune_sentiment.session import remotely
    from tune_sentiment.workload import slots_for, trial_setup

    asked: dict[str, Any] = {}
    for study, _ in work:
        with failures.of(study.id):
            slots = slots_for(study, resources, study.side_by_side, sharing.of(study))
            if found := sharing.line(study, slots):
                say(found)
            if study.method.reads_features:
                continue
            setup, params = trial_setup(study, slots), typical_params(study)
            tokens = inputs[study.comparison].train.tokens
            asked[study.id] = remotely(calibrate, slots, setup, params, study.config.seed, tokens)
    made, rest = {}, []
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
                why = _time(study, measured, trials, confirmations, slots)
            say(f"{study.id}: {_rest(trials, folder)}, {why}")
            of_this = partial(
                forecast, study, measured, slots, resources, price_per_hour=price_per_hour
            )
            made[study.id] = of_this()
            rest.append(of_this(done=study.num_trials - trials, confirmations=confirmations))
    if len(rest) > FEW:
        for line in total(rest, cores()):
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


def still_to_run(study: Study, folder: StudyFolder) -> tuple[int, int]:
    """Trials and confirmation runs that a study still has to end."""
    from tune_sentiment.confirm_plan import missing_confirmations
    from tune_sentiment.workload import missing_trials

    return missing_trials(study, folder), missing_confirmations(study, folder)


def _time(
    study: Study, measured: Calibration, trials: int, confirmations: int, slots: Slots
) -> str:
    in_turn = max(1, slots.concurrency // slots.per_gpu)  # what shares a GPU may wait for it
    seconds = forecast_seconds(
        study, measured, trials=trials, confirmations=confirmations, concurrency=in_turn
    )
    return cost_line(study, seconds, cores())


def typical_params(study: Study) -> dict[str, Any]:
    """The configuration that a forecast is measured with, pins included."""
    return {**study.space.example(), **(study.space.fixed or {})}


def describe(
    studies: Sequence[Study],
    resources: Resources,
    results: Path,
    price_per_hour: float | None = None,
) -> str:
    """What the command would do: studies, their ids, what is done, and forecasts."""
    blocks, made = [], []
    tokens: dict[str, Any] = {}
    for study in studies:
        folder = StudyFolder(results / study.id)
        with reading(folder.path):
            done, trials = len(folder.trials()), still_to_run(study, folder)[0]
        space = study.space
        pinned = _setting(space.fixed or {})
        searched = f"  searched     {', '.join(space.params) or 'nothing: all pinned'}"
        plan = [f"  plan         {study.config.max_epochs} epochs, {study.config.padding} padding"]
        runs = [f"  runs         {_setting(point)}" for point in space.start if point]
        text = [
            study.id,
            f"  folder       {address_of(folder.path)}",
            f"  dataset      {study.source.dataset.name}: {describe_counts(study)}",
            f"  model        {study.source.backbone.name} ({study.source.backbone.fingerprint})",
            *(runs if space.is_listed else [searched]),
            f"  pinned       {pinned or 'nothing'}",
            *(plan if study.plan else []),
            f"  metric       {study.config.metric}, comparison {study.comparison}",
            f"  trials       {done} done, {trials} to run",
        ]
        expected, time, shares = _dry_forecast(study, folder, resources, tokens, price_per_hour)
        made.append(expected)
        text += [f"  forecast     {time}"] * bool(time)
        text += [f"  sharing      {shares}"] * bool(shares)
        text += [f"  {name:<12} {shown}" for name, shown in lines(expected)]
        blocks.append("\n".join(text))
    return "\n\n".join([*blocks, *(["\n".join(total(made, cores()))] if len(made) > 1 else [])])


def _dry_forecast(
    study: Study,
    folder: StudyFolder,
    resources: Resources,
    tokens: dict[str, Any],
    price_per_hour: float | None,
) -> tuple[Forecast, str, str | None]:
    """What the rest of a study will take, how long here, and who shares a GPU; without Ray."""
    from tune_sentiment.preflight import local_slots
    from tune_sentiment.sharing import Sharing
    from tune_sentiment.workload import trial_setup

    trials, confirmations = still_to_run(study, folder)
    measured, time, shares = None, "", None
    if study.device != "cpu" and not gpus():
        slots = Slots(1, resources.cpus_per_trial or 1, resources.gpus_per_trial or 1.0)
        time = "none from here: this machine has no GPU to measure with"
    else:
        read = partial(_tokens, known=tokens)
        sharing = Sharing(resources, read, _cards_here, lambda *_: None)
        slots = local_slots(study, resources, study.side_by_side, sharing.of(study))
        shares = sharing.line(study, slots)
    if not time and not study.method.reads_features:
        setup, params = trial_setup(study, slots), typical_params(study)
        measured = calibrate(setup, params, study.config.seed, _tokens(study, tokens)[0])
        time = _time(study, measured, trials, confirmations, slots)
    expected = forecast(
        study,
        measured,
        slots,
        resources,
        done=study.num_trials - trials,
        confirmations=confirmations,
        price_per_hour=price_per_hour,
    )
    return expected, time, shares


@cache
def _cards_here() -> "list[Card]":
    """This machine's GPUs before a forecast has used them."""
    return cards_here()


def _tokens(study: Study, known: dict[str, Any]) -> tuple[Any, Any]:
    """The study's tokens of train and validation; made once for all studies of its comparison."""
    from tune_sentiment.tokens import tokenise

    if study.comparison not in known:
        known.clear()  # studies come comparison by comparison
        source, config = study.source, study.config
        splits = load_train_val(
            source.dataset,
            mirror=source.mirror,
            train_samples=config.train_samples,
            seed=config.seed,
        )
        train, validation = (
            tokenise(source.backbone, split.texts, split.labels, config.max_length)
            for split in splits
        )
        known[study.comparison] = train, validation
    made: tuple[Any, Any] = known[study.comparison]
    return made


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
