"""What a search spends around its trials: 200 trials that do nothing, and 40 of one second.

The clock runs from the start of a study to its end, Ray being up; every side's workers import what
real trials need. The default peer starts a process for each trial, so a few are run and multiplied.
What starting a study costs and what one more trial costs are told apart by two studies of ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks.harness import NULL, OURS, Row, Side, measure
from benchmarks.processes import run_side
from tune_sentiment.provenance import cores

ROUNDS = 3
LENGTHS = {0.0: 200, 1.0: 40}  # seconds of a trial: trials
PREFIX = 8
FIRST = 4
TUNED, DEFAULT = "Ray Tune, actors used again, no loggers", "Ray Tune, defaults"
TARGETS = {DEFAULT: 20.0, TUNED: 1 / 1.15}
LARGEST_SHARE = 0.10  # of a one-second trial
LARGEST_BYTES = 30e6  # of the driver for a trial


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the overhead of a trial, of its share in a second, and of the driver's memory."""
    rows: list[Row] = []
    pairs: list[Pair] = []
    for seconds, trials in ((0.0, 8),) if quick else LENGTHS.items():
        what = f"overhead of one of {trials} trials of {seconds:g} s"
        say(what)
        found = measure(_sides(seconds, trials, quick, pairs), 1 if quick else ROUNDS, say)
        rows += found.rows(what, TARGETS)
    return [*rows, *_told_apart(pairs)]


@dataclass(frozen=True)
class Pair:
    """Two studies of ours in one process, a short one and a long one.

    Args:
        seconds: How long a trial lasts.
        first: Trials of the short one.
        trials: Trials of the long one.
        found: Seconds and the driver's memory of both.
    """

    seconds: float
    first: int
    trials: int
    found: dict[str, float]

    @property
    def marginal(self) -> float:
        """Seconds around one more trial, on one of the cores that run them."""
        between = self.found["all_seconds"] - self.found["first_seconds"]
        return overhead(between, self.trials - self.first, self.seconds)

    @property
    def start(self) -> float:
        """Seconds of a study before its first trial runs and after its last."""
        around = overhead(self.found["all_seconds"], self.trials, self.seconds)
        return self.trials * (around - self.marginal)

    @property
    def grown(self) -> float:
        """Bytes of the driver for one more trial."""
        return (self.found["all_bytes"] - self.found["first_bytes"]) / self.trials


def _sides(seconds: float, trials: int, quick: bool, pairs: list[Pair]) -> dict[str, Side]:
    first = 2 if quick else FIRST

    def ours() -> float:
        asked = {"first": first, "trials": trials + first, "seconds": seconds}
        _, found = run_side("benchmarks.tax_ours", asked)
        pairs.append(Pair(seconds, first, trials, found))
        return overhead(found["all_seconds"], trials, seconds)

    def tune(count: int, is_tuned: bool) -> float:
        asked = {"trials": count, "seconds": seconds, "is_tuned": is_tuned}
        _, found = run_side("benchmarks.peers.tune", asked)
        return overhead(found["all_seconds"], count, seconds)

    return {
        OURS: ours,
        TUNED: partial(tune, trials, is_tuned=True),
        DEFAULT: partial(tune, 2 if quick else PREFIX, is_tuned=False),
        NULL: ours,
    }


def overhead(wall: float, trials: int, seconds: float) -> float:
    """Seconds around a trial on one of the cores that run them."""
    return (wall - trials * seconds / cores()) / trials


def _told_apart(pairs: Sequence[Pair]) -> list[Row]:
    """What one more trial costs, in time and memory, and what the start of a study does."""
    shares = [p.marginal * cores() / p.seconds for p in pairs if p.seconds]
    starts = [p.start for p in pairs if not p.seconds]
    grown = max(p.grown for p in pairs)
    rows: list[Row] = [
        {
            "what": "driver's memory for one more trial",
            "peer": f"at most {LARGEST_BYTES / 1e6:.0f} MB",
            "value": f"{grown / 1e6:.2f} MB",
            "is_met": grown < LARGEST_BYTES,
        },
    ]
    if shares:
        rows.append(
            {
                "what": "one more trial of 1 s costs beside its second",
                "peer": f"at most {LARGEST_SHARE:.0%}",
                "value": f"{median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})",
                "is_met": median(shares) <= LARGEST_SHARE,
            }
        )
    rows.append(
        {
            "what": "start and end of a study, workers' imports included",
            "peer": "",
            "value": f"{median(starts):.1f} s ({min(starts):.1f} to {max(starts):.1f} s)",
            "is_met": None,
        }
    )
    return rows
