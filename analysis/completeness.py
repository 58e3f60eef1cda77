"""What a ledger says of itself that is not there: files that were lost, records that contradict.

A ledger's files name each other: the selection its trials, the log of test openings the runs that
were scored, a run's record its predictions. Whatever is named and missing is told, so that nothing
is averaged without it in silence.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_sentiment.ledger import SELECTION

if TYPE_CHECKING:
    from analysis.load import LoadedStudy

SHOWN = 5  # keys in one line


def contradictions(study: "LoadedStudy") -> list[str]:
    """Everything that is named in a study's ledger and missing, in words."""
    return [*_lost_trials(study), *_lost_runs(study), *_lost_files(study)]


def _lost_trials(study: "LoadedStudy") -> list[str]:
    path = study.path / SELECTION
    if not path.exists():
        return [f"{path} is missing: the winner is worked out again"] if study.runs else []
    if study.selection is None:  # it could not be read, which is told
        return []
    winner, named = {study.selection["winner"]}, study.selection["trials"]
    there = {trial["key"] for trial in study.trials}
    return [
        *_told(sorted(winner - there), f"{study.path}: no record of the confirmed trial"),
        *_told(
            sorted(named - there - winner),
            f"{study.path}: no records of trials that were chosen from",
        ),
    ]


def _lost_runs(study: "LoadedStudy") -> list[str]:
    scored = {run["key"] for run in study.runs if run["test_accuracy"] is not None}
    opened = {f"{opening['key']}-{seed}" for opening in study.openings for seed in opening["seeds"]}
    log = study.path / "test-openings.jsonl"
    lost = sorted(opened - scored)
    return [
        *_told(lost, f"{study.path}: no test scores of runs that saw the test split ({log.name})"),
        *_told(sorted(scored - opened), f"{log} says nothing of runs with a test score"),
    ]


def _lost_files(study: "LoadedStudy") -> list[str]:
    path = study.path / "texts.parquet"
    return [] if path.exists() else [f"{path} is missing: shared texts cannot be found"]


def lost_evaluations(
    trials: Iterable[Mapping[str, Any]], there: Iterable[str], path: Path
) -> list[str]:
    """Trials that were evaluated and whose evaluations are not there."""
    known = set(there)
    lost = [str(t["key"]) for t in trials if t["evaluations_run"] and t["key"] not in known]
    return _told(lost, f"{path}: no evaluations of trials")


def _told(keys: list[str], what: str) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return [f"{what}: {', '.join(keys[:SHOWN])}{more}"]
