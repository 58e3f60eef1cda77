"""Finding studies under results folders and reading their records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_sentiment.durable import read_json
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.records import best_trial
from tune_sentiment.selection import confirmed


@dataclass(frozen=True)
class LoadedStudy:
    """What a study's ledger holds.

    Args:
        description: ``study.json``.
        trials: Trial records, by number.
        runs: Records of all confirmation runs, by trial and seed.
        test_openings: How often the test split was opened.
        path: The study's folder.
    """

    description: Mapping[str, Any]
    trials: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    test_openings: int
    path: Path

    @property
    def method(self) -> str:
        """A name in METHODS."""
        return str(self.description["method"])

    @property
    def metric(self) -> str:
        """The searched metric's name, with its split."""
        return str(self.description["metric"])

    @property
    def best(self) -> dict[str, Any] | None:
        """The trial with the best searched metric, the earlier of two equal ones."""
        found: dict[str, Any] | None = best_trial(
            self.trials, self.metric, self.description["mode"]
        )
        return found

    @property
    def winner(self) -> dict[str, Any] | None:
        """The trial that was confirmed; the best one as long as none was."""
        found: dict[str, Any] | None = confirmed(
            self.trials,
            self.runs,
            metric=self.metric,
            mode=self.description["mode"],
            seed=self.description["seed"],
        )
        return found or self.best

    @property
    def confirmations(self) -> list[dict[str, Any]]:
        """Records of the winner's confirmation runs, by seed."""
        key = None if self.winner is None else self.winner["key"]
        return [run for run in self.runs if run["trial_key"] == key]

    @property
    def test_scores(self) -> list[float]:
        """The searched metric on the test split, one for each confirmation run of the winner."""
        name = self.metric.replace("val_", "test_", 1)
        return [run[name] for run in self.confirmations if run[name] is not None]


def load_study(folder: Path) -> LoadedStudy:
    """Read one study's folder."""
    ledger = StudyFolder(folder)
    runs = sorted(ledger.confirmations(), key=lambda run: (run["trial_key"], int(run["seed"])))
    return LoadedStudy(
        read_json(ledger.study_file), ledger.trials(), runs, ledger.test_openings(), folder
    )


def load_studies(results: Iterable[Path]) -> list[LoadedStudy]:
    """Every study in these folders: a results folder, or a study's own."""
    folders: set[Path] = set()
    for root in results:
        folders |= {file.parent.resolve() for file in root.glob("study.json")}
        folders |= {file.parent.resolve() for file in root.glob("*/study.json")}
    return [load_study(folder) for folder in sorted(folders)]


def by_comparison(studies: Iterable[LoadedStudy]) -> dict[str, list[LoadedStudy]]:
    """Studies that may stand in one table, under the hash of what they share."""
    groups: dict[str, list[LoadedStudy]] = {}
    for study in studies:
        groups.setdefault(str(study.description["comparison"]), []).append(study)
    return groups
