"""What a search spends around its trials: 200 trials that do nothing, and 100 of one second.

The clock runs from the start of a study to its end, Ray being up; every side's workers import what
real trials need. The default peer starts a process for each trial, so a few are run and multiplied.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.harness import NULL, OURS, Rounds, Row, Side, measure
from benchmarks.processes import run_side
from tune_sentiment.provenance import cores

ROUNDS = 3
LENGTHS = {0.0: 200, 1.0: 60}  # seconds of a trial: trials
PREFIX = 8
FIRST = 20
TUNED, DEFAULT = "Ray Tune, actors used again, no loggers", "Ray Tune, defaults"
TARGETS = {DEFAULT: 20.0, TUNED: 1 / 1.15}
LARGEST_SHARE = 0.10  # of a one-second trial
LARGEST_BYTES = 30e6  # of the driver for a trial


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the overhead of a trial, of its share in a second, and of the driver's memory."""
    rows: list[Row] = []
    grown: list[float] = []
    for seconds, trials in ((0.0, 8),) if quick else LENGTHS.items():
        what = f"overhead of one of {trials} trials of {seconds:g} s"
        say(what)
        found = measure(_sides(seconds, trials, quick, grown), 1 if quick else ROUNDS, say)
        rows += found.rows(what, TARGETS)
        if seconds:
            rows.append(_share(found, seconds))
    rows.append(
        {
            "what": "driver's memory for one more trial",
            "peer": f"at most {LARGEST_BYTES / 1e6:.0f} MB",
            "value": f"{max(grown) / 1e6:.2f} MB",
            "is_met": max(grown) < LARGEST_BYTES,
        }
    )
    return rows


def _sides(seconds: float, trials: int, quick: bool, grown: list[float]) -> dict[str, Side]:
    first = 2 if quick else FIRST

    def ours() -> float:
        asked = {"first": first, "trials": trials + first, "seconds": seconds}
        _, found = run_side("benchmarks.tax_ours", asked)
        grown.append((found["all_bytes"] - found["first_bytes"]) / trials)
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


def _share(measured: Rounds, seconds: float) -> dict[str, Any]:
    shares = [cost * cores() / seconds for cost in measured.costs[OURS]]
    middle = sorted(shares)[len(shares) // 2]
    return {
        "what": f"overhead as a share of a trial of {seconds:g} s",
        "peer": f"at most {LARGEST_SHARE:.0%}",
        "value": f"{middle:.1%} ({min(shares):.1%} to {max(shares):.1%})",
        "is_met": middle <= LARGEST_SHARE,
    }
