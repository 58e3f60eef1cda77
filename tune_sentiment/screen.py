"""The screen while studies are trained: their tables, or one row for each where there are many."""

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tune_sentiment.progress import Progress, duration

FEW = 2  # studies whose every trial is shown
MARGIN = 5  # lines of a terminal that the rows leave free
WAITING, TRAINED, LEFT_OUT = "waiting", "trained", "left out"
SHADES = {WAITING: "dim", TRAINED: "green", LEFT_OUT: "red"}


class Screen:
    """Shows the stages that run: live tables in a terminal, a line for each event elsewhere.

    Args:
        labels: What the studies of the run are called, in their order.
        console: Where to write; standard error if not given.
    """

    def __init__(self, labels: Sequence[str] = (), console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.states = dict.fromkeys(labels, WAITING)
        self.stages: dict[str, Progress] = {}  # the last one of each study
        self.shown: list[Progress] = []
        self.started = time.monotonic()
        self.live: Live | None = None

    @property
    def is_summary(self) -> bool:
        """Whether there are too many studies to show each trial."""
        return len(self.states) > FEW

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self.live = Live(console=self.console, get_renderable=self.render, refresh_per_second=2)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self, progress: Progress) -> None:
        """A stage that begins; one that has ended leaves the live part, and its table stays."""
        progress.console = self.console
        progress.started = time.monotonic()
        self.shown.append(progress)
        self.stages[progress.label] = progress
        self.states[progress.label] = progress.stage
        if self.live is None:
            progress.say(f"{progress.title}: {progress.total} to run")
            return
        for ended in [stage for stage in self.shown if stage.has_ended]:
            self.shown.remove(ended)
            if not self.is_summary:
                self.console.print(ended.table())

    def note(self, label: str, state: str) -> None:
        """A study with nothing left to train, or one that is left out."""
        if self.states.get(label) != state:
            self.states[label] = state
            if self.live is None and len(self.states) > 1:
                counts = f"{self._count(TRAINED)} of {len(self.states)} studies are trained"
                self.console.print(
                    f"{label}: {state}; {counts}", highlight=False, markup=False, soft_wrap=True
                )

    def render(self) -> Group:
        """What the live part shows now."""
        if self.is_summary:
            return self.summary()
        return Group(*(progress.table() for progress in self.shown))

    def _count(self, state: str) -> int:
        return sum(found == state for found in self.states.values())

    def summary(self) -> Group:
        """One row for each study, those under way above all where there is no room for all."""
        under_way = {name for name, state in self.states.items() if state not in SHADES}
        trainings = sum(len(s.rows) - s.ended for s in self.shown if s.label in under_way)
        parts = [f"{len(self.states)} studies", f"{len(under_way)} under way"]
        parts += [f"{self._count(s)} {s}" for s in (WAITING, TRAINED, LEFT_OUT) if self._count(s)]
        parts += [f"{trainings} training{'' if trainings == 1 else 's'} now"]
        parts += [duration(time.monotonic() - self.started)]
        metrics = sorted({stage.metric for stage in self.stages.values()})
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("study", no_wrap=True)
        table.add_column("stage", no_wrap=True)
        for heading in ("trials", "now", f"best {' '.join(metrics)}".strip(), "left"):
            table.add_column(heading, no_wrap=True, justify="right")
        shown = self._fitting(under_way)
        for name in shown:
            table.add_row(*self._row(name, name in under_way))
        hidden = len(self.states) - len(shown)
        rest = [Text(f"and {hidden} more", style="dim")] if hidden else []
        return Group(Text(", ".join(parts), style="bold"), table, *rest)

    def _fitting(self, under_way: set[str]) -> list[str]:
        """Those that the terminal has lines for: under way, then waiting, then the last trained."""
        ranks = {WAITING: 1, LEFT_OUT: 2, TRAINED: 3}
        order = sorted(self.states, key=lambda n: 0 if n in under_way else ranks[self.states[n]])
        kept = set(order[: max(1, self.console.size.height - MARGIN)])
        return [name for name in self.states if name in kept]

    def _row(self, name: str, is_under_way: bool) -> list[Text | str]:
        state, stage = self.states[name], self.stages.get(name)
        if stage is None:
            return [name, Text(state, style=SHADES.get(state, "")), "", "", "", ""]
        now, left = len(stage.rows) - stage.ended, stage.seconds_left
        trials = stage.before + (stage.ended if stage.is_search else 0)
        asked = stage.before + (stage.total if stage.is_search else 0)
        if is_under_way and not stage.is_search:
            state += f", {stage.ended} of {stage.total}"
        return [
            name,
            Text(state, style=SHADES.get(state, "cyan")),
            f"{trials}/{asked}",
            str(now) if is_under_way else "",
            "-" if stage.best is None else f"{stage.best:.3f}",
            "" if not is_under_way else "-" if left is None else duration(left),
        ]
