"""What a person sees while trainings run: a live table in a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tune_sentiment.metrics import Mode

SHOWN_ENDED = 12
LEAST_DONE = 0.5  # of a training, before what is left is forecast
STYLES = {"finished": "green", "pruned": "yellow", "running": "cyan"}


def say(line: str) -> None:
    """Tell the user something beside the results."""
    print(line, file=sys.stderr, flush=True)


def readable(value: object) -> str:
    """A hyperparameter or a metric in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """A duration as a person says it: ``48 s``, ``12 min``, ``1.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


@dataclass
class _Row:
    number: int
    setting: str
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    evaluation: int = 0
    objective: float | None = None
    status: str = "running"

    @property
    def is_scored(self) -> bool:
        return self.objective is not None and not math.isnan(self.objective)


class Progress:
    """Follows the trainings of one stage of a study, as Ray Tune's callbacks tell of them.

    Args:
        label: What the study is called beside others.
        stage: What is done: the search, or which confirmation.
        total: Trainings to come.
        evaluations: Evaluations of a training that nothing ends early.
        metric: Name of the searched metric.
        mode: ``max`` or ``min``.
        searched: Hyperparameters to show; ``seed`` shows the training's seed.
        noun: What one training is called, ``trial`` or ``run``.
        is_stopped: Whether the scheduler ended the training with a key.
        before: Trials of the study that had ended before.
        best: The best of the searched metric in those.
        console: Where to write; standard error if not given.
    """

    def __init__(
        self,
        *,
        label: str,
        stage: str,
        total: int,
        evaluations: int,
        metric: str,
        mode: Mode,
        searched: Sequence[str],
        noun: str = "trial",
        is_stopped: Callable[[str], bool],
        before: int = 0,
        best: float | None = None,
        console: Console | None = None,
    ) -> None:
        self.label, self.stage, self.total, self.evaluations = label, stage, total, evaluations
        self.metric, self.searched, self.is_stopped = metric, searched, is_stopped
        self.better = max if mode == "max" else min
        self.noun, self.before, self.best = noun, before, best
        self.console = console or Console(stderr=True)
        self.rows: dict[str, _Row] = {}
        self.started = time.monotonic()

    @property
    def title(self) -> str:
        """Stands above the table."""
        return f"{self.label}: {self.stage}"

    @property
    def is_search(self) -> bool:
        """Whether trials are run, and not confirmations of them."""
        return self.noun == "trial"

    @property
    def ended(self) -> int:
        """Trainings that have, of those to come."""
        return sum(row.seconds is not None for row in self.rows.values())

    @property
    def has_ended(self) -> bool:
        """Whether every training has."""
        return self.ended >= self.total

    @property
    def seconds_left(self) -> float | None:
        """What the stage still takes, if it goes on as it has gone; ``None`` before it can be said.

        A training under way counts by its evaluations, as if nothing ended it early.
        """
        under_way = [row for row in self.rows.values() if row.seconds is None]
        done = self.ended + sum(row.evaluation / self.evaluations for row in under_way)
        if done < LEAST_DONE:
            return None
        return (time.monotonic() - self.started) * max(0.0, self.total - done) / done

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Show a training that began."""
        config = trial.config
        shown = {**config["params"], "seed": config["seed"]}
        setting = " ".join(f"{n}={readable(shown[n])}" for n in self.searched if n in shown)
        self.rows[config["key"]] = _Row(config["number"], setting)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Show an evaluation."""
        row = self.rows[trial.config["key"]]
        row.evaluation, row.status = result["evaluation"], result["status"]
        row.objective = result["objective"]
        if self.is_search and row.is_scored and row.objective is not None:
            known = row.objective if self.best is None else self.best
            self.best = self.better(known, row.objective)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Show how a training ended."""
        row = self.rows[trial.config["key"]]
        if row.status == "running":
            row.status = "pruned" if self.is_stopped(trial.config["key"]) else "open"
        self._ended(row)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that a training lost its worker and goes on in another one."""
        self.say(f"{self._name(trial)} lost its worker and goes on from its last checkpoint")

    def on_trial_cut_off(self, trial: Any, **info: Any) -> None:
        """Say that a training lost its node, and goes on when the others have ended."""
        self.say(f"{self._name(trial)} lost its node and goes on later")
        if row := self.rows.get(trial.config["key"]):
            row.status = "open"
            self._ended(row)

    def _name(self, trial: Any) -> str:
        return f"{self.label}: {self.noun} {trial.config['number']}"

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Show a training that failed."""
        if trial.config["key"] not in self.rows:  # its worker never came up
            self.on_trial_start(iteration, trials, trial)
        row = self.rows[trial.config["key"]]
        row.status = "failed"
        self._ended(row)

    def _ended(self, row: _Row) -> None:
        row.seconds = time.monotonic() - row.started
        if not self.console.is_terminal:
            self.say(
                f"{self.label} [{self.ended}/{self.total}] {self.noun} {row.number} {row.status} "
                f"after evaluation {row.evaluation} of {self.evaluations} · {self._value(row)} · "
                f"{duration(row.seconds)} · {row.setting}"
            )

    def _value(self, row: _Row) -> str:
        return f"{self.metric} {row.objective:.3f}" if row.is_scored else f"{self.metric} -"

    def table(self) -> Group:
        """The trainings that run, and the last ones that ended."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in (self.noun, "status", "evaluation", self.metric, "seconds", "configuration"):
            table.add_column(heading, no_wrap=heading != "configuration")
        ended = [row for row in self.rows.values() if row.seconds is not None]
        running = [row for row in self.rows.values() if row.seconds is None]
        for row in [*ended[-SHOWN_ENDED:], *running]:
            seconds = row.seconds or time.monotonic() - row.started
            table.add_row(
                str(row.number),
                Text(row.status, style=STYLES.get(row.status, "red")),
                f"{row.evaluation}/{self.evaluations}",
                f"{row.objective:.3f}" if row.is_scored else "-",
                f"{seconds:.0f}",
                Text(row.setting),
            )
        elapsed = duration(time.monotonic() - self.started)
        title = Text(f"{self.title}: {len(ended)} of {self.total} ended, {elapsed}", style="bold")
        heading_row = Table.grid(padding=(0, 2))
        heading_row.add_row(title, ProgressBar(self.total, len(ended), width=40))
        return Group(heading_row, table)
