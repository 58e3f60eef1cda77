"""TRACKERS: every experiment tracker on one screen. Nothing heavy is imported here.

Trackers read ledgers, in processes of their own (``track.py``): no training and no search waits
for one, or fails with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from tune_sentiment.errors import UsageError, unknown
from tune_sentiment.tracking.view import StudyView, TrainingView

PROJECT = "tune_sentiment"


class Tracker(Protocol):
    """Logs trainings somewhere else; made for a folder for its files and a project's name."""

    where: str
    """What it logs into: what was logged there is not logged there again."""
    is_live: bool
    """Whether it is told of a training that still runs, or once nothing more is to be said."""

    def log(self, training: TrainingView, known: int) -> None:
        """Log what is new of a training, and return once it cannot be lost.

        Args:
            training: With its record once it has ended. One with a record may come again, with
                fields that it had not before.
            known: Evaluations that were logged before, as far as the ledger's notes know.
        """

    def log_table(self, study: StudyView) -> None:
        """Log the table of the comparison that a study stands in."""


@dataclass(frozen=True)
class TrackerSource:
    """Where a tracker comes from.

    Args:
        path: Module and class, ``module:class``.
        packages: What must be installed; the extra has the tracker's name.
    """

    path: str
    packages: tuple[str, ...]

    def load(self) -> Callable[[Path, str], Tracker]:
        """The tracker's class; its library is imported when one is made."""
        module, _, name = self.path.partition(":")
        made: Callable[[Path, str], Tracker] = getattr(import_module(module), name)
        return made


TRACKERS: dict[str, TrackerSource] = {
    "wandb": TrackerSource("tune_sentiment.tracking.wandb:WandbTracker", ("wandb",)),
    "comet": TrackerSource("tune_sentiment.tracking.comet:CometTracker", ("comet_ml",)),
    "mlflow": TrackerSource(
        "tune_sentiment.tracking.mlflow:MlflowTracker", ("mlflow", "sqlalchemy", "alembic")
    ),
    "tensorboard": TrackerSource(
        "tune_sentiment.tracking.tensorboard:TensorboardTracker", ("tensorboard", "tensorboardX")
    ),
}


def chosen_trackers(text: str | None) -> list[str]:
    """The trackers of ``--track``, each once, in the order of TRACKERS.

    Raises:
        UsageError: If a name is unknown, there is none, or one is not installed.
    """
    if text is None:
        return []
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"no tracker given. Trackers: {', '.join(sorted(TRACKERS))}")
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS, plural="Trackers")
        if any(find_spec(package) is None for package in TRACKERS[name].packages):
            raise UsageError(
                f"tracker '{name}' is not installed: pip install 'tune_sentiment[{name}]'"
            )
    return [name for name in TRACKERS if name in names]
