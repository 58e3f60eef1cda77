"""Confirmation: the winner retrained with fresh seeds, and only then the test split, once.

The only file that loads test texts with their labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tune_sentiment import inference
from tune_sentiment.confirm_plan import (
    best_run,
    is_kept,
    is_unscored,
    known_runs,
    winner_runs,
)
from tune_sentiment.data import load_test
from tune_sentiment.durable import fetched, names_in
from tune_sentiment.ledger import WINNER_FILE, StudyFolder
from tune_sentiment.machines import whole_node
from tune_sentiment.metrics import Predictions, evaluate, predictions_from
from tune_sentiment.proposal import Proposal
from tune_sentiment.provenance import now
from tune_sentiment.session import run_once
from tune_sentiment.splits import check_unchanged
from tune_sentiment.study import Study
from tune_sentiment.trial_setup import TrialSetup
from tune_sentiment.winner import export, load_classifier
from tune_sentiment.workload import Inputs, trial_setup

READ_BACK_TOLERANCE = 0.01  # another device may round a few texts to the other side


def finish(inputs: Inputs, study: Study, folder: StudyFolder) -> None:
    """Open the test split for the winner's runs, and keep the best of them.

    Does nothing without a winner, or when everything is recorded. The test split stays closed until
    every run has ended.
    """
    known, wanted = known_runs(folder), winner_runs(study, folder)
    if any(run.key not in known for run in wanted):
        return
    unscored = [known[run.key] for run in wanted if is_unscored(known[run.key])]
    if unscored:
        _open_test(study, folder, inputs, wanted, unscored)
    best = best_run(study, folder, wanted)
    if best is not None and not is_kept(folder, best):
        run = next(proposal for proposal in wanted if proposal.key == best["key"])
        _export(study, folder, inputs, run, best)
    folder.drop_tensors()
    for name in names_in(folder.checkpoints):
        if "-" in name:  # of a winner that was overtaken
            folder.drop_checkpoints(name)


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
    test = replace(inputs.validation, split=split)
    proposals = {proposal.key: proposal for proposal in wanted}
    runs = [
        (proposals[record["key"]], folder.tensors_file(record["key"]).resolve())
        for record in unscored
    ]
    slots = whole_node(study.device)
    setup = trial_setup(study, slots, folder)
    references = inputs.validation.of(study.method), test.of(study.method)
    scored = run_once(inputs.resources, score, slots, setup, runs, *references)
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
    """What each run's classifier says of validation and test."""
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


def _export(
    study: Study,
    folder: StudyFolder,
    inputs: Inputs,
    proposal: Proposal,
    record: Mapping[str, Any],
) -> None:
    slots = whole_node(study.device)
    setup, tensors = trial_setup(study, slots, folder), folder.tensors_file(proposal.key).resolve()
    where = whole_node(study.source.device)  # the encoder runs there, whatever reads its features
    used = replace(trial_setup(study, where, folder), device=study.source.device)
    read = used, proposal, tensors, inputs.validation.tokens
    cost = run_once(inputs.resources, inference.inference_cost, where, *read)
    folder.write_confirmation({**record, **cost})  # which makes sure of a lease, as export cannot
    run_once(inputs.resources, export, slots, setup, proposal, tensors, folder.winner.resolve())
    fetched(folder.winner / WINNER_FILE, again=True)  # it may have been made on another machine
