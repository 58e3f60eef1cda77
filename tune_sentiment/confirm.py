"""Confirmation: the winner retrained with fresh seeds, and only then the test split, once.

The only file that loads test texts with their labels.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray

from tune_sentiment.config import Resources
from tune_sentiment.data import load_test
from tune_sentiment.ledger import StudyFolder, TrialRecord, best_trial, flat
from tune_sentiment.metrics import Predictions, evaluate, predictions_from
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.session import SharedInputs, plan_slots
from tune_sentiment.study import Study
from tune_sentiment.trainable import TrialSetup
from tune_sentiment.tuner import Inputs, run_fixed, trial_setup


def confirmation_proposals(study: Study, winner: Mapping[str, Any]) -> list[Proposal]:
    """The winner with fresh seeds, for as many evaluations as its best one needed.

    A closed-form method gives the same classifier for every seed: it runs once.
    """
    count = study.config.confirm_seeds
    seeds = [study.config.seed + 1 + i for i in range(count if study.method.is_neural else 1)]
    names = [*study.space.params, *(study.space.fixed or {})]
    return [
        Proposal(
            number=i,
            key=f"{winner['key']}-{seed}",
            origin="confirm",
            params={name: winner[name] for name in names},
            seed=seed,
            evaluations=winner["best_evaluation"],
        )
        for i, seed in enumerate(seeds)
    ]


def missing_confirmations(study: Study, folder: StudyFolder) -> int:
    """Confirmation runs without a test score, counted before the winner is known, too."""
    if study.config.confirm_seeds == 0:
        return 0
    records = folder.trials()
    winner = best_trial(records, study.config.metric, study.metric.mode)
    if winner is None:
        return 0 if len(records) >= study.config.trials else study.config.confirm_seeds
    scored = {r["key"] for r in folder.confirmations() if r["test_accuracy"] is not None}
    return sum(p.key not in scored for p in confirmation_proposals(study, winner))


def confirm(study: Study, folder: StudyFolder, inputs: Inputs, resources: Resources) -> None:
    """Retrain the winner, open the test split, record the scores, keep the best run.

    Does nothing without a winner, with ``confirm_seeds`` 0, or when everything is recorded.
    """
    winner = best_trial(folder.trials(), study.config.metric, study.metric.mode)
    if winner is None or study.config.confirm_seeds == 0:
        return
    wanted = confirmation_proposals(study, winner)
    known = {record["key"]: record for record in folder.confirmations()}
    missing = [p for p in wanted if not _is_usable(known.get(p.key), folder)]
    if missing:
        recorder = Recorder(
            study_id=study.id,
            mode=study.metric.mode,
            write_record=partial(_write_trained, folder, winner["key"]),
            write_evaluations=partial(folder.write_evaluations, part="confirm"),
        )
        run_fixed(
            study,
            inputs,
            resources,
            missing,
            recorder,
            title=f"{study.config.method}: confirming trial {winner['number']}",
            storage=folder.path / "ray" / "confirm",
            keep=folder.confirm.resolve(),
        )
    known = {record["key"]: record for record in folder.confirmations()}
    trained = [known[p.key] for p in wanted if _is_trained(known.get(p.key))]
    unscored = [record for record in trained if record["test_accuracy"] is None]
    if unscored:
        _open_test(study, folder, inputs, resources, wanted, unscored)
        _keep_best(study, folder, resources, wanted)
    for record in trained:
        folder.tensors_file(record["key"]).unlink(missing_ok=True)


def _is_trained(record: Mapping[str, Any] | None) -> bool:
    return record is not None and record["status"] == "finished"


def _is_usable(record: Mapping[str, Any] | None, folder: StudyFolder) -> bool:
    """Whether a run need not be trained again: scored, or with what it trained still there."""
    if record is None or record["status"] == "failed":
        return False
    is_scored = record["test_accuracy"] is not None
    return is_scored or not _is_trained(record) or folder.tensors_file(record["key"]).exists()


def _write_trained(
    folder: StudyFolder, trial_key: str, record: TrialRecord, params: Mapping[str, Any]
) -> None:
    untested = dict.fromkeys(_test_names(), None)
    folder.write_confirmation({**flat(record, params), "trial_key": trial_key, **untested})


def _test_names() -> list[str]:
    return [f.replace("val_", "test_") for f in TrialRecord.__annotations__ if f.startswith("val_")]


def _open_test(
    study: Study,
    folder: StudyFolder,
    inputs: Inputs,
    resources: Resources,
    wanted: Sequence[Proposal],
    unscored: Sequence[Mapping[str, Any]],
) -> None:
    opened = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "key": unscored[0]["trial_key"],
        "seeds": [record["seed"] for record in unscored],
        "trials": len(folder.trials()),
    }
    folder.log_test_opening(opened)
    split = load_test(study.source.dataset, mirror=study.source.mirror)
    source = study.source
    test = SharedInputs(source.backbone, split, study.config.max_length, source.device)
    proposals = {proposal.key: proposal for proposal in wanted}
    runs = [
        (proposals[record["key"]], folder.tensors_file(record["key"]).resolve())
        for record in unscored
    ]
    is_neural = study.method.is_neural
    slots = plan_slots(resources, source.device, 1)
    scored = ray.get(
        _score.options(num_cpus=slots.cpus, num_gpus=slots.gpus).remote(
            trial_setup(study, slots),
            runs,
            inputs.validation.of(is_neural=is_neural),
            test.of(is_neural=is_neural),
        )
    )
    for record, (on_validation, on_test) in zip(unscored, scored, strict=True):
        for name, predictions in (("validation", on_validation), ("test", on_test)):
            _write_predictions(folder.predictions_file(record["key"], name), predictions)
        folder.write_confirmation({**record, **evaluate(on_test, "test")})


@ray.remote
def _score(
    setup: TrialSetup, runs: Sequence[tuple[Proposal, Path]], validation: Any, test: Any
) -> list[tuple[Predictions, Predictions]]:
    import torch

    from tune_sentiment.winner import load_classifier

    torch.set_num_threads(setup.num_threads)
    made = []
    for proposal, tensors in runs:
        classifier = load_classifier(setup, proposal, tensors, validation)
        pair = [
            predictions_from(
                classifier.scores(inputs),
                np.array(inputs.labels),
                has_probabilities=classifier.has_probabilities,
            )
            for inputs in (validation, test)
        ]
        made.append((pair[0], pair[1]))
    return made


def _write_predictions(path: Path, made: Predictions) -> None:
    """Rows of ``index, label, predicted, score, probabilities``.

    The score is that of the positive class for two classes, else that of the predicted class: a
    probability, or a decision value where there are none.
    """
    import pyarrow
    from pyarrow import parquet

    chosen = np.ones_like(made.predicted) if made.num_classes == 2 else made.predicted
    rows = len(made.labels)
    none = pyarrow.nulls(rows, pyarrow.list_(pyarrow.float64()))
    table = pyarrow.table(
        {
            "index": np.arange(rows),
            "label": made.labels,
            "predicted": made.predicted,
            "score": made.scores[np.arange(rows), chosen],
            "probabilities": none if made.probabilities is None else made.probabilities.tolist(),
        }
    )
    unfinished = path.with_name(f".{path.name}.tmp")
    parquet.write_table(table, unfinished)
    unfinished.replace(path)


def _keep_best(
    study: Study, folder: StudyFolder, resources: Resources, wanted: Sequence[Proposal]
) -> None:
    """Make ``winner/`` the confirmation run with the best validation score."""
    from tune_sentiment.winner import export

    keys = {proposal.key for proposal in wanted}
    runs = [record for record in folder.confirmations() if record["key"] in keys]
    best = best_trial(runs, study.config.metric, study.metric.mode)
    tensors = folder.tensors_file(best["key"]).resolve()
    if not tensors.exists():  # an earlier session chose it, and exported it
        return
    slots = plan_slots(resources, study.source.device, 1)
    proposal = next(p for p in wanted if p.key == best["key"])
    export_remotely = ray.remote(export).options(num_cpus=slots.cpus, num_gpus=slots.gpus)
    ray.get(
        export_remotely.remote(
            trial_setup(study, slots), proposal, tensors, folder.winner.resolve()
        )
    )
