"""Confirmation: the winner retrained with fresh seeds, and only then the test split, once.

The only file that loads test texts with their labels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray

from tune_sentiment.config import Resources
from tune_sentiment.data import load_test
from tune_sentiment.durable import read_json
from tune_sentiment.ledger import CONFIRMATIONS, StudyFolder
from tune_sentiment.metrics import Predictions, evaluate, predictions_from
from tune_sentiment.proposal import Proposal
from tune_sentiment.provenance import now
from tune_sentiment.recorder import Recorder
from tune_sentiment.records import TrialRecord, best_trial, flat
from tune_sentiment.session import SharedInputs, remotely, whole_node
from tune_sentiment.splits import check_unchanged
from tune_sentiment.study import Study
from tune_sentiment.trial_setup import TrialSetup
from tune_sentiment.tuner import run_fixed
from tune_sentiment.winner import WINNER_FILE, export, load_classifier
from tune_sentiment.workload import Inputs, missing_trials, trial_setup

READ_BACK_TOLERANCE = 0.01  # another device may round a few texts to the other side


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
    """Confirmation runs still to come, counted before the winner is known, too."""
    if study.config.confirm_seeds == 0:
        return 0
    winner = study_winner(study, folder)
    if winner is None:
        return study.config.confirm_seeds if missing_trials(study, folder) else 0
    known = _known(folder)
    return sum(not _has_ended(known.get(p.key)) for p in confirmation_proposals(study, winner))


def is_complete(study: Study, folder: StudyFolder) -> bool:
    """Whether there is nothing left to do: no trial, no confirmation run, no winner to export."""
    if missing_trials(study, folder) or missing_confirmations(study, folder):
        return False
    winner = study_winner(study, folder)
    if winner is None or study.config.confirm_seeds == 0:
        return True
    best = _best_run(study, folder, confirmation_proposals(study, winner))
    return best is None or _is_kept(folder, best)


def study_winner(study: Study, folder: StudyFolder) -> Any:
    """The record of the trial that is confirmed; ``None`` if no trial can be."""
    return best_trial(folder.trials(), study.config.metric, study.metric.mode)


def confirm(study: Study, folder: StudyFolder, inputs: Inputs, resources: Resources) -> None:
    """Retrain the winner, open the test split, record the scores, keep the best run.

    Does nothing without a winner, with ``confirm_seeds`` 0, or when everything is recorded. The
    test split stays closed until every run has ended.
    """
    winner = study_winner(study, folder)
    if winner is None or study.config.confirm_seeds == 0:
        return
    wanted = confirmation_proposals(study, winner)
    known = _known(folder)
    missing = [p for p in wanted if _needs_training(known.get(p.key), folder)]
    if missing:
        run_fixed(
            study,
            folder,
            inputs,
            resources,
            missing,
            lambda: _recorder(study, folder, winner["key"], [p.key for p in missing]),
            title=f"{study.config.method}: confirming trial {winner['number']}",
            storage=folder.path / "ray" / "confirm",
            keep=folder.confirm.resolve(),
        )
    known = _known(folder)
    if any(p.key not in known for p in wanted):
        return
    runs = [known[p.key] for p in wanted if known[p.key]["status"] == "finished"]
    unscored = [record for record in runs if record["test_accuracy"] is None]
    if unscored:
        _open_test(study, folder, inputs, wanted, unscored)
    best = _best_run(study, folder, wanted)
    if best is not None and not _is_kept(folder, best):
        proposal = next(p for p in wanted if p.key == best["key"])
        _export(study, folder, proposal)
    for record in runs:
        folder.tensors_file(record["key"]).unlink(missing_ok=True)


def _known(folder: StudyFolder) -> dict[str, Any]:
    return {record["key"]: record for record in folder.confirmations()}


def _has_ended(record: Mapping[str, Any] | None) -> bool:
    """Whether a run is over: scored, or ended in a way that the same seed would end in again."""
    if record is None or record["status"] == "failed":
        return False
    return record["status"] != "finished" or record["test_accuracy"] is not None


def _needs_training(record: Mapping[str, Any] | None, folder: StudyFolder) -> bool:
    if record is None:
        return True
    if _has_ended(record):
        return False
    return record["status"] != "finished" or not folder.tensors_file(record["key"]).exists()


def _best_run(study: Study, folder: StudyFolder, wanted: Sequence[Proposal]) -> Any:
    """The scored run with the best *validation* score."""
    keys = {proposal.key for proposal in wanted}
    runs = [
        record
        for record in folder.confirmations()
        if record["key"] in keys and record["test_accuracy"] is not None
    ]
    return best_trial(runs, study.config.metric, study.metric.mode)


def _is_kept(folder: StudyFolder, run: Mapping[str, Any]) -> bool:
    file = folder.winner / WINNER_FILE
    return file.exists() and read_json(file)["key"] == run["key"]


def _recorder(
    study: Study, folder: StudyFolder, trial_key: str, missing: Sequence[str]
) -> Recorder:
    """A recorder of confirmation runs that knows those an earlier session left open."""

    def write_record(record: TrialRecord, params: Mapping[str, Any]) -> None:
        untested = dict.fromkeys(_test_names(), None)
        folder.write_confirmation({**flat(record, params), "trial_key": trial_key, **untested})
        folder.drop_checkpoints(record.key)

    known = _known(folder)
    begun = folder.trainings(CONFIRMATIONS)
    return Recorder(
        study_id=study.id,
        defaults=study.defaults,
        write_record=write_record,
        write_training=lambda training: folder.write_training(training, CONFIRMATIONS),
        begun=[t for t in begun if t.proposal.key in missing and t.proposal.key not in known],
    )


def _test_names() -> list[str]:
    return [f.replace("val_", "test_") for f in TrialRecord.__annotations__ if f.startswith("val_")]


def _open_test(
    study: Study,
    folder: StudyFolder,
    inputs: Inputs,
    wanted: Sequence[Proposal],
    unscored: Sequence[Mapping[str, Any]],
) -> None:
    opened = {
        "time": now(),
        "key": unscored[0]["trial_key"],
        "seeds": [record["seed"] for record in unscored],
        "trials": len(folder.trials()),
    }
    folder.log_test_opening(opened)
    source = study.source
    split = load_test(source.dataset, mirror=source.mirror, seed=study.config.seed)
    check_unchanged(split, source.splits["test"], "test")
    test = SharedInputs(source.backbone, split, study.config.max_length, source.device)
    proposals = {proposal.key: proposal for proposal in wanted}
    runs = [
        (proposals[record["key"]], folder.tensors_file(record["key"]).resolve())
        for record in unscored
    ]
    slots = whole_node(study.device)
    setup = trial_setup(study, slots)
    references = inputs.validation.of(study.method), test.of(study.method)
    scored = ray.get(remotely(score, slots, setup, runs, *references))
    for record, (on_validation, on_test) in zip(unscored, scored, strict=True):
        _check_read_back(record, evaluate(on_validation, "val")["val_accuracy"])
        for name, predictions in (("validation", on_validation), ("test", on_test)):
            folder.write_predictions(record["key"], name, predictions)
        folder.write_confirmation({**record, **evaluate(on_test, "test")})


def _check_read_back(record: Mapping[str, Any], accuracy: float | None) -> None:
    """Refuse a test score of a classifier that is not the one that was trained."""
    if accuracy is None or abs(accuracy - record["val_accuracy"]) > READ_BACK_TOLERANCE:
        raise RuntimeError(
            f"run {record['key']} read back has validation accuracy {accuracy}, trained it had "
            f"{record['val_accuracy']}"
        )


def score(
    setup: TrialSetup, runs: Sequence[tuple[Proposal, Path]], validation: Any, test: Any
) -> list[tuple[Predictions, Predictions]]:
    """What each run's classifier says of validation and test; runs in a worker."""
    import torch

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


def _export(study: Study, folder: StudyFolder, proposal: Proposal) -> None:
    slots = whole_node(study.device)
    tensors, target = folder.tensors_file(proposal.key).resolve(), folder.winner.resolve()
    ray.get(remotely(export, slots, trial_setup(study, slots), proposal, tensors, target))
