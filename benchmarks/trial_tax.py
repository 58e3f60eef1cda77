"""What a search spends around its trials: 200 trials that do nothing, and 40 of one second.

The clock runs from the start of a study to its end, Ray being up; every side's workers import what
real trials need. In each process a study is run that is not timed, then a short and a long one,
which tell what a study costs from what one more trial does. The default peer starts a process for
each trial, so its long one is short, too, and the rest is multiplied.
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
        if seconds:
            rows.append(_share(f"{what}, as a share", found.costs[OURS], seconds))
    return [*rows, *_told_apart(pairs)]


@dataclass(frozen=True)
class Pair:
    """A short study and a long one in one process.

    Args:
        seconds: How long a trial lasts.
        first: Trials of the short one.
        trials: Trials of the long one.
        found: Seconds of both; of ours, the driver's memory, too.
    """

    seconds: float
    first: int
    trials: int
    found: dict[str, float]

    @property
    def marginal(self) -> float:
        """Wall-clock seconds for one more trial, beyond what its own seconds take on all cores."""
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
        asked = {"first": first, "trials": trials, "seconds": seconds}
        _, found = run_side("benchmarks.tax_ours", asked)
        pairs.append(Pair(seconds, first, trials, found))
        return overhead(found["all_seconds"], trials, seconds)

    def tune(count: int, is_tuned: bool) -> float:
        asked = {"first": first, "trials": count, "seconds": seconds, "is_tuned": is_tuned}
        _, found = run_side("benchmarks.peers.tune", asked)
        pair = Pair(seconds, first, count, found)
        return pair.start / trials + pair.marginal

    null = {} if seconds else {NULL: ours}  # once is enough
    return {
        OURS: ours,
        TUNED: partial(tune, trials, is_tuned=True),
        DEFAULT: partial(tune, 4 if quick else PREFIX, is_tuned=False),
        **null,
    }


def overhead(wall: float, trials: int, seconds: float) -> float:
    """Wall-clock seconds for each trial, beyond what its own seconds take on all cores."""
    return (wall - trials * seconds / cores()) / trials


def _told_apart(pairs: Sequence[Pair]) -> list[Row]:
    """What one more trial costs, in time and memory, and what the start of a study does."""
    marginal = [1000 * p.marginal * cores() for p in pairs if not p.seconds]
    starts = [p.start for p in pairs if not p.seconds]
    grown = max(p.grown for p in pairs)
    return [
        {
            "what": "driver's memory for one more trial",
            "peer": f"at most {LARGEST_BYTES / 1e6:.0f} MB",
            "value": f"{grown / 1e6:.2f} MB",
            "is_met": grown < LARGEST_BYTES,
        },
        {
            "what": "one more trial, time of one core",
            "peer": "",
            "value": f"{median(marginal):.0f} ms ({min(marginal):.0f} to {max(marginal):.0f} ms)",
            "is_met": None,
        },
        {
            "what": "start and end of a study, workers' imports included",
            "peer": "",
            "value": f"{median(starts):.1f} s ({min(starts):.1f} to {max(starts):.1f} s)",
            "is_met": None,
        },
    ]


def _share(what: str, costs: Sequence[float], seconds: float) -> Row:
    shares = [cost * cores() / seconds for cost in costs]
    return {
        "what": what,
        "peer": f"at most {LARGEST_SHARE:.0%}",
        "value": f"{median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})",
        "is_met": median(shares) <= LARGEST_SHARE,
    }
