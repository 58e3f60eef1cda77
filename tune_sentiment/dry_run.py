"""What a command would do, and what it would take: a dry run, which starts no Ray."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from tune_sentiment.config import Resources
from tune_sentiment.cost import Hardware, calibrate
from tune_sentiment.data import load_train_val
from tune_sentiment.failures import reading
from tune_sentiment.footprint import Card, cards_here
from tune_sentiment.forecast import Forecast, forecast, lines, total
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.outlook import (
    describe_counts,
    setting,
    still_to_run,
    time_line,
    tried_first,
    typical_params,
)
from tune_sentiment.places import address_of
from tune_sentiment.provenance import gpus
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study


def describe(
    studies: Sequence[Study],
    resources: Resources,
    results: Path,
    price_per_hour: float | None = None,
) -> str:
    """What the command would do: studies, their ids, what is done, and forecasts."""
    blocks, made, here = [], [], Hardware.here()
    tokens: dict[str, Any] = {}
    for study in studies:
        folder = StudyFolder(results / study.id)
        with reading(folder.path):
            done, trials = len(folder.trials()), still_to_run(study, folder)[0]
        space = study.space
        pinned = setting(space.fixed or {})
        searched = f"  searched     {', '.join(space.params) or 'nothing: all pinned'}"
        plan = [f"  plan         {study.config.max_epochs} epochs, {study.config.padding} padding"]
        runs = [f"  runs         {setting(point)}" for point in space.start if point]
        text = [
            study.id,
            f"  folder       {address_of(folder.path)}",
            f"  dataset      {study.source.dataset.name}: {describe_counts(study)}",
            f"  model        {study.source.backbone.name} ({study.source.backbone.fingerprint})",
            *(runs if space.is_listed else [searched]),
            f"  pinned       {pinned or 'nothing'}",
            *(f"  tried first  {point} ({won})" for point, won in tried_first(study)),
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
    return "\n\n".join([*blocks, *(["\n".join(total(made, here))] if len(made) > 1 else [])])


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
    on_gpu = study.device != "cpu"
    if resources.is_cluster and (on_gpu or resources.gpus_per_trial) and not gpus():  # its nodes do
        share = (resources.gpus_per_trial or 1.0) if on_gpu else 0.0
        slots = Slots(resources.concurrency or 1, resources.cpus_per_trial or 1, share)
        time = "none from here: this machine has no GPU to measure with" if share else ""
    else:
        read = partial(_tokens, known=tokens)
        sharing = Sharing(resources, read, _cards_here, lambda *_: None)
        slots = local_slots(study, resources, study.side_by_side, sharing.of(study))
        shares = sharing.line(study, slots)
    if not time and not study.method.reads_features:
        setup, params = trial_setup(study, slots), typical_params(study)
        measured = calibrate(setup, params, study.config.seed, _tokens(study, tokens)[0])
        time = time_line(study, measured, trials, confirmations, slots, Hardware.here())
    expected = forecast(
        study,
        measured,
        slots,
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
