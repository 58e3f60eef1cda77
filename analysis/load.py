"""Finding studies under results folders and reading their ledgers, whole or damaged.

Only JSON and parquet files that the ledger names are read. What cannot be read, and what does not
belong there, is named in ``gaps`` and left out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tune_sentiment.durable import read_json
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.records import RECORD_FIELDS, best_trial
from tune_sentiment.selection import confirmed

KNOWN = {
    "checkpoints",
    "confirm",
    "evaluations",
    "ray",
    "study.json",
    "test-openings.jsonl",
    "texts.parquet",
    "trials",
    "winner",
}
NEEDED = ("comparison", "comparison_of", "id", "method", "metric", "mode", "plan", "seed", "space")


@dataclass(frozen=True)
class LoadedStudy:
    """What a study's ledger holds.

    Args:
        description: ``study.json``.
        trials: Trial records, by number.
        runs: Records of all confirmation runs, by trial and seed.
        test_openings: How often the test split was opened.
        path: The study's folder.
        gaps: What could not be read, in words.
    """

    description: Mapping[str, Any]
    trials: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    test_openings: int
    path: Path
    gaps: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        """A name in METHODS."""
        return str(self.description["method"])

    @property
    def metric(self) -> str:
        """The searched metric's name, with its split."""
        return str(self.description["metric"])

    @property
    def is_deterministic(self) -> bool:
        """Whether the method gives the same classifier for every seed."""
        return bool(self.description["plan"] == {})

    @property
    def best(self) -> dict[str, Any] | None:
        """The trial with the best searched metric, the earlier of two equal ones."""
        found: dict[str, Any] | None = best_trial(
            self.trials, self.metric, self.description["mode"]
        )
        return found

    @cached_property
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
    def scored(self) -> list[dict[str, Any]]:
        """Those of them that have seen the test split."""
        return [run for run in self.confirmations if run["test_accuracy"] is not None]

    @property
    def test_scores(self) -> list[float]:
        """The searched metric on the test split, one for each of ``scored``."""
        name = self.metric.replace("val_", "test_", 1)
        return [run[name] for run in self.scored if run[name] is not None]


def load_study(folder: Path) -> LoadedStudy:
    """Read one study's folder.

    Raises:
        ValueError: If its ``study.json`` cannot be read.
    """
    description = read_json(folder / "study.json")
    if missing := [name for name in NEEDED if name not in description]:
        raise ValueError(f"no {', '.join(missing)}")
    gaps: list[str] = []
    trials = _records(folder / "trials", gaps)
    runs = _records(folder / "confirm", gaps)
    runs = [{"trial_key": str(run["key"]).partition("-")[0], **run} for run in runs]
    for path in sorted(folder.iterdir()):
        if path.name not in KNOWN and not path.name.startswith("."):
            gaps.append(f"{path} does not belong to a study and was not read")
    for path in sorted([*(folder / "trials").glob("*"), *(folder / "confirm").glob("*")]):
        if path.suffix not in (".json", ".jsonl", ".parquet", ".safetensors", ".tmp"):
            gaps.append(f"{path} does not belong to a study and was not read")
    return LoadedStudy(
        description,
        sorted(trials, key=lambda record: int(record["number"])),
        sorted(runs, key=lambda run: (run["trial_key"], int(run["seed"]))),
        StudyFolder(folder).test_openings(),
        folder,
        gaps,
    )


def _records(folder: Path, gaps: list[str]) -> list[dict[str, Any]]:
    """Every record that can be read; fields that an older schema did not have are ``None``."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = read_json(path)
            int(record["number"]), int(record["seed"]), str(record["key"])
            found.append({**dict.fromkeys(RECORD_FIELDS), "test_accuracy": None, **record})
        except (OSError, ValueError, KeyError, TypeError) as error:
            gaps.append(f"{path} cannot be read: {_short(error)}")
    return found


def load_studies(results: Iterable[Path], gaps: list[str] | None = None) -> list[LoadedStudy]:
    """Every study in these folders: a results folder, or a study's own.

    Args:
        results: Where to look.
        gaps: Takes what could not be read.
    """
    named = [] if gaps is None else gaps
    folders: set[Path] = set()
    for root in results:
        folders |= {file.parent.resolve() for file in root.glob("study.json")}
        folders |= {file.parent.resolve() for file in root.glob("*/study.json")}
    studies = []
    for folder in sorted(folders):
        try:
            studies.append(load_study(folder))
            named += studies[-1].gaps
        except (OSError, ValueError) as error:
            named.append(f"{folder / 'study.json'} cannot be read: {_short(error)}")
    return studies


def by_comparison(studies: Iterable[LoadedStudy]) -> dict[str, list[LoadedStudy]]:
    """Studies that may stand in one table, under the hash of what they share."""
    groups: dict[str, list[LoadedStudy]] = {}
    for study in studies:
        groups.setdefault(str(study.description["comparison"]), []).append(study)
    return groups


def evaluations_of(study: LoadedStudy) -> dict[str, list[dict[str, Any]]]:
    """The evaluations of every trial, by key; a file that cannot be read is left out."""
    made = {}
    for path in sorted((study.path / "evaluations").glob("*.jsonl")):
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            made[path.stem] = [row for row in rows if "evaluation" in row]
        except (OSError, ValueError):
            continue
    return made


def _short(error: Exception) -> str:
    return f"{type(error).__name__} {error}".split("\n")[0][:120]
