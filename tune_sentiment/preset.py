"""Experiments that somebody published, to be run again exactly: configuration by configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune

from tune_sentiment.methods import METHODS
from tune_sentiment.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class Experiments:
    """Configurations of one method that share a plan.

    Args:
        method: A name in METHODS.
        configurations: Every hyperparameter of each, by name.
        max_epochs: Epochs of each.
        padding: As the report padded.
        assumed: Hyperparameters that the text does not give.
    """

    method: str
    configurations: Sequence[Mapping[str, Any]]
    max_epochs: int = 1
    padding: str = "dynamic"
    assumed: Sequence[str] = ()

    @property
    def plan(self) -> dict[str, Any]:
        """The part of a ``StudyConfig`` that the report decides."""
        return {
            "method": self.method,
            "trials": len(self.configurations),
            "max_epochs": self.max_epochs,
            "padding": self.padding,
        }

    @property
    def space(self) -> SearchSpace:
        """The space of these configurations: what differs is listed, what does not is pinned."""
        first = self.configurations[0]
        differing = [n for n in first if len({c[n] for c in self.configurations}) > 1]
        values = {n: sorted({c[n] for c in self.configurations}) for n in differing}
        return SearchSpace(
            method=self.method,
            params={name: tune.choice(found) for name, found in values.items()},
            start=[{name: c[name] for name in differing} for c in self.configurations],
            is_listed=True,
            fixed={name: value for name, value in first.items() if name not in differing},
        )


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One lab report's experiments on one dataset.

    Args:
        report: Number of the report, ``000`` to ``004``.
        about: What it compares, in a line.
        dataset: A name in DATASETS.
        experiments: What is run; studies of one comparison.
        notes: What differs from the report, and why.
    """

    report: str
    about: str
    dataset: str
    experiments: Sequence[Experiments]
    notes: Sequence[str] = ()

    @property
    def num_trials(self) -> int:
        """Configurations of all its studies."""
        return sum(len(study.configurations) for study in self.experiments)


def listing(presets: Mapping[str, Preset]) -> str:
    """Every preset with what it runs, and what its report leaves open."""
    lines = []
    for name, preset in presets.items():
        lines.append(f"{name}  {preset.dataset}: {preset.about}")
        for study in preset.experiments:
            count = len(study.configurations)
            parts = [f"{study.method}: {count} configuration{'s' if count > 1 else ''}"]
            if METHODS[study.method].is_neural:
                parts.append(f"{study.max_epochs} epochs, {study.padding} padding")
            if study.assumed:
                parts.append(f"assumed: {', '.join(study.assumed)}")
            lines.append(f"  {'; '.join(parts)}")
        lines += [f"  note: {note}" for note in preset.notes]
    return "\n".join(lines)
