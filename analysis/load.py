"""Finding studies under results folders and reading their ledgers, whole or damaged.

Only JSON and parquet files that the ledger names are read. What cannot be read, and what does not
belong there, is named in ``gaps`` and left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from optuna.distributions import BaseDistribution, json_to_distribution

from analysis.completeness import contradictions
from analysis.folder import describe, forecast, openings, selection, short, strangers
from analysis.schema import missing_fields, problems
from tune_sentiment.durable import read_json
from tune_sentiment.ledger import StudyFolder, study_folders
from tune_sentiment.records import RECORD_FIELDS, best_trial
from tune_sentiment.selection import confirmed

EXACT = 1e-9  # between an accuracy and the same one counted again


@dataclass(frozen=True, eq=False)
class LoadedStudy:
    """What a study's ledger holds; equal to itself only.

    Args:
        description: ``study.json``.
        trials: Trial records, by number.
        runs: Records of all confirmation runs, by trial and seed.
        openings: What was noted each time that the test split was opened.
        path: The study's folder.
        selection: Which trial was confirmed among which, as the ledger says; ``None`` if it does
            not.
        gaps: What could not be read, in words.
        forecast: What it was expected to take when its search began; ``None`` if nobody said.
        incomplete: Fields that records lack, in words.
    """

    description: Mapping[str, Any]
    trials: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    openings: list[dict[str, Any]]
    path: Path
    selection: Mapping[str, Any] | None = None
    gaps: list[str] = field(default_factory=list)
    forecast: Mapping[str, Any] | None = None
    incomplete: list[str] = field(default_factory=list)

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
        chosen = self.selection and self.selection["winner"]
        named = next((trial for trial in self.trials if trial["key"] == chosen), None)
        found: dict[str, Any] | None = named or confirmed(
            self.trials,
            self.runs,
            metric=self.metric,
            mode=self.description["mode"],
            seed=self.description["seed"],
        )
        return found or self.best

    @cached_property
    def searched(self) -> dict[str, BaseDistribution]:
        """What was searched, by hyperparameter."""
        stored = self.description["space"].get("distributions") or {}
        return {name: json_to_distribution(text) for name, text in stored.items()}

    @cached_property
    def test_predictions(self) -> tuple[npt.NDArray[Any], list[npt.NDArray[Any]]] | None:
        """Labels of the test texts and each scored run's predictions; ``None`` if any is missing.

        What is missing or does not fit is named in ``gaps``.
        """
        labels, made = None, []
        for run in self.scored:
            path = StudyFolder(self.path).predictions_file(run["key"], "test")
            try:
                table = pd.read_parquet(path, columns=["index", "label", "predicted"])
            except (OSError, ValueError, KeyError) as error:
                self.gaps.append(f"{path} cannot be read: {short(error)}")
                return None
            table = table.sort_values("index")
            found = table["label"].to_numpy()
            if labels is not None and not np.array_equal(labels, found):
                self.gaps.append(f"{path} is of other test texts than the run before it")
                return None
            labels = found
            predicted = table["predicted"].to_numpy()
            reached = float((predicted == labels).mean())
            if abs(reached - run["test_accuracy"]) > EXACT:
                self.gaps.append(
                    f"{path} has accuracy {reached:.4f}, its record says {run['test_accuracy']:.4f}"
                )
                return None
            made.append(predicted)
        return None if labels is None else (labels, made)

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
    study = load_search(folder)
    for path in strangers(folder):
        study.gaps.append(f"{path} does not belong to a study and was not read")
    study.openings.extend(openings(folder, study.gaps))
    study.gaps.extend(contradictions(study))
    _ = study.test_predictions  # its gaps belong to what is told of the study
    return study


def load_search(folder: Path) -> LoadedStudy:
    """Read what a study's search and the choice of its winner left, and nothing of the test split.

    Raises:
        ValueError: If its ``study.json`` cannot be read.
    """
    description = describe(folder)
    gaps: list[str] = []
    said = forecast(folder, gaps)
    study = LoadedStudy(description, [], [], [], folder, selection(folder, gaps), gaps, said)
    study.trials.extend(_records(study, "trials"))
    study.trials.sort(key=lambda record: int(record["number"]))
    runs = _records(study, "confirm")
    study.runs.extend({"trial_key": str(r["key"]).partition("-")[0], **r} for r in runs)
    study.runs.sort(key=lambda run: (run["trial_key"], int(run["seed"])))
    return study


def _records(study: LoadedStudy, part: str) -> list[dict[str, Any]]:
    """Every record that can be used; fields that an older schema did not have are ``None``."""
    found = []
    for path in sorted((study.path / part).glob("*.json")):
        try:
            record = read_json(path)
        except (OSError, ValueError) as error:
            study.gaps.append(f"{path} cannot be read: {short(error)}")
            continue
        study.incomplete.extend(f"{path}: {problem}" for problem in missing_fields(record))
        said = problems(record, path, study.path.name, study.searched)
        if said:
            study.gaps.append(f"{path} was left out: {'; '.join(said)[:300]}")
        else:
            found.append({**dict.fromkeys(RECORD_FIELDS), "test_accuracy": None, **record})
    return found


def load_studies(
    results: Iterable[Path],
    gaps: list[str] | None = None,
    method: str | None = None,
    load: Callable[[Path], LoadedStudy] = load_study,
) -> list[LoadedStudy]:
    """Every study in these folders: a results folder, or a study's own.

    Args:
        results: Where to look.
        gaps: Takes what could not be read.
        method: The only one whose studies are wanted, if it is one.
        load: Reads one study.
    """
    named = [] if gaps is None else gaps
    roots = list(results)
    for root in roots:
        for part in [root / "trials", *root.glob("*/trials")]:
            if part.is_dir() and not (part.parent / "study.json").exists():
                named.append(f"{part.parent} has trials and no study.json: it was not read")
    studies = []
    for folder in study_folders(roots):
        try:
            if method is None or describe(folder)["method"] == method:
                studies.append(load(folder))
                named += studies[-1].gaps
        except (OSError, ValueError) as error:
            named.append(f"{folder / 'study.json'} cannot be read: {short(error)}")
    return studies


def by_comparison(studies: Iterable[LoadedStudy]) -> dict[str, list[LoadedStudy]]:
    """Studies that may stand in one table, under the hash of what they share."""
    groups: dict[str, list[LoadedStudy]] = {}
    for study in studies:
        groups.setdefault(str(study.description["comparison"]), []).append(study)
    return groups
