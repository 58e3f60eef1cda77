"""Which confirmation runs a study asks for, and which of them are still to come: from its ledger.

The best trials are screened with a few fresh seeds each; the best mean of those is the winner, and
gets the rest of the seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tune_sentiment.durable import names_in, read_json
from tune_sentiment.ledger import WINNER_FILE, StudyFolder
from tune_sentiment.proposal import Proposal
from tune_sentiment.records import best_trial
from tune_sentiment.selection import (
    SCREENING_SEEDS,
    candidates,
    confirmation_runs,
    confirmed,
    fresh_seeds,
    seeds_of,
)
from tune_sentiment.study import Study
from tune_sentiment.workload import missing_trials


def proposals(study: Study, trial: Mapping[str, Any]) -> list[Proposal]:
    """A trial with fresh seeds, for as many evaluations as its best one needed.

    A closed-form method gives the same classifier for every seed: it runs once.
    """
    names = [*study.space.params, *(study.space.fixed or {})]
    return [
        Proposal(
            number=trial["number"],
            key=f"{trial['key']}-{seed}",
            origin="confirm",
            params={name: trial[name] for name in names},
            seed=seed,
            evaluations=trial["best_evaluation"],
        )
        for seed in fresh_seeds(study.config.seed, seeds_of(study))
    ]


def _tops(study: Study, folder: StudyFolder) -> list[Any]:
    """The trials among which the winner is; none with ``confirm_seeds`` 0."""
    seeds = seeds_of(study)
    if not seeds:
        return []
    return candidates(folder.trials(), study.config.metric, study.metric.mode, seeds)


def screening(study: Study, folder: StudyFolder) -> list[Proposal]:
    """The runs that decide which trial is confirmed; none once that is decided."""
    tops = _tops(study, folder)
    if _decided(folder, tops) is not None:
        return []
    return [run for trial in tops for run in proposals(study, trial)[:SCREENING_SEEDS]]


def winner_runs(study: Study, folder: StudyFolder) -> list[Proposal]:
    """The runs of the winner; none before every screening run has ended, or without a winner."""
    trial = winner(study, folder)
    return [] if trial is None else proposals(study, trial)


def winner(study: Study, folder: StudyFolder) -> Any:
    """The record of the trial that is confirmed; ``None`` while that is open.

    A decision stands as long as no trial comes that it did not know, however many seeds are asked
    for later.
    """
    tops = _tops(study, folder)
    decided = _decided(folder, tops)
    if decided is not None:
        return decided
    asked, known = screening(study, folder), known_runs(folder)
    if not asked or any(run.key not in known for run in asked):
        return None
    runs = [known[run.key] for run in asked]
    config = study.config
    return confirmed(tops, runs, metric=config.metric, mode=study.metric.mode, seed=config.seed)


def decide(study: Study, folder: StudyFolder) -> None:
    """Write down which trial is confirmed, as soon as that follows from the screening."""
    tops = _tops(study, folder)
    found = winner(study, folder)
    if found is not None and _decided(folder, tops) is None:
        trials = [record["key"] for record in folder.trials()]
        folder.write_selection(found["key"], [trial["key"] for trial in tops], trials)


def _decided(folder: StudyFolder, tops: Sequence[Mapping[str, Any]]) -> Any:
    """The trial that was decided on among at least these, if no trial has ended since."""
    made, trials = folder.selection, folder.trials()
    if made is None or made["trials"] != sorted(record["key"] for record in trials):
        return None
    if not {trial["key"] for trial in tops} <= set(made["candidates"]):
        return None
    return next(record for record in trials if record["key"] == made["winner"])


def missing_confirmations(study: Study, folder: StudyFolder) -> int:
    """Confirmation runs still to come, counted before the winner is known, too."""
    known, seeds = known_runs(folder), seeds_of(study)
    if missing_trials(study, folder) and seeds:
        return confirmation_runs(study)
    if runs := winner_runs(study, folder):
        return sum(run.key not in known or is_unscored(known[run.key]) for run in runs)
    untrained = sum(run.key not in known for run in screening(study, folder))
    return untrained + max(0, seeds - SCREENING_SEEDS) if untrained else 0


def is_complete(study: Study, folder: StudyFolder) -> bool:
    """Whether there is nothing left to do: no trial, no confirmation run, no winner to export."""
    if missing_trials(study, folder) or missing_confirmations(study, folder):
        return False
    best = best_run(study, folder, winner_runs(study, folder))
    return best is None or is_kept(folder, best)


def known_runs(folder: StudyFolder) -> dict[str, Any]:
    """Records of the study's confirmation runs, by key."""
    return {record["key"]: record for record in folder.confirmations()}


def is_unscored(record: Mapping[str, Any] | None) -> bool:
    """Whether a run was trained and has not seen the test split."""
    return record is not None and record["status"] == "finished" and record["test_accuracy"] is None


def is_lost(record: Mapping[str, Any] | None, folder: StudyFolder) -> bool:
    """Whether what a run trained is needed and gone: it did not look like the winner's then."""
    if record is None or not is_unscored(record):
        return False
    tensors = folder.tensors_file(record["key"])
    return tensors.name not in names_in(tensors.parent)


def best_run(study: Study, folder: StudyFolder, wanted: Sequence[Proposal]) -> Any:
    """The scored run with the best *validation* score."""
    keys = {proposal.key for proposal in wanted}
    runs = [
        record
        for record in folder.confirmations()
        if record["key"] in keys and record["test_accuracy"] is not None
    ]
    return best_trial(runs, study.config.metric, study.metric.mode)


def is_kept(folder: StudyFolder, run: Mapping[str, Any]) -> bool:
    """Whether a run is what ``winner/`` holds."""
    file = folder.winner / WINNER_FILE
    return file.exists() and read_json(file)["key"] == run["key"]
