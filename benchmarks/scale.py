"""What one driver does for many trials: 1,000 that do nothing on 16 simulated slots, and its parts.

The slots are cores that two nodes of a cluster on this machine claim to have. A proposal, the
writing of a trial and the planning of a study that goes on are timed alone, too, after up to 10,000
trials: they grow with a study. The last rows are a whole study of one-second trials, one slot a
core: its time beside that of ideal list scheduling.
"""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.harness import Row
from benchmarks.processes import run_side
from tune_sentiment.provenance import cores

TRIALS, SLOTS = 1_000, 16
COUNTS = (100, 1_000, 10_000)
LONG, GPUS = 10_000, 512  # the search that is asked about
ONE_SECOND = (60, 200)  # trials
LEAST_EFFICIENCY = 0.90
LARGEST_BYTES = 1e6  # of the driver for a trial


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the driver's work, of what it grows with, and of efficiency."""
    trials, slots = (8, 2) if quick else (TRIALS, SLOTS)
    counts = (20, 40) if quick else COUNTS
    say(f"{trials} trials of nothing on {slots} slots")
    _, live = run_side("benchmarks.scale_ours", {"trials": trials, "slots": slots, "seconds": 0.0})
    say(f"  {live['seconds']:.1f} s, of the driver's processor {live['processor_seconds']:.1f} s")
    say(f"parts after {', '.join(f'{count:,}' for count in counts)} trials")
    _, parts = run_side("benchmarks.scale_ours", {"counts": counts})
    rows = [
        *_live(trials, slots, live),
        *_parts(counts, parts),
        *_binding(live["processor_seconds"] / trials, parts[str(counts[-1])]["proposal"]),
    ]
    for count in (4,) if quick else ONE_SECOND:
        say(f"{count} trials of one second")
        asked = {"first": 2, "trials": count, "seconds": 1.0}
        _, found = run_side("benchmarks.tax_ours", asked)
        rows += _efficiency(count, found)
    return rows


def _row(what: str, value: str, peer: str = "", is_met: bool | None = None) -> Row:
    return {"what": what, "peer": peer, "value": value, "is_met": is_met}


def _live(trials: int, slots: int, live: dict[str, float]) -> list[Row]:
    what = f"{trials:,} trials of nothing on {slots} slots"
    grown, seconds = live["bytes"] / trials, live["seconds"]
    most = f"at most {LARGEST_BYTES / 1e6:.0f} MB"
    return [
        _row(f"{what}: results a second", f"{trials / seconds:.0f}"),
        _row(f"{what}: writes to the ledger a second", f"{live['writes'] / seconds:.0f}"),
        _row(
            f"{what}: driver's processor time for a trial",
            f"{1000 * live['processor_seconds'] / trials:.0f} ms",
        ),
        _row(
            f"{what}: driver's memory for one more trial",
            f"{grown / 1e6:.2f} MB",
            most,
            grown < LARGEST_BYTES,
        ),
    ]


def _parts(counts: Sequence[int], parts: dict[str, Any]) -> list[Row]:
    names = {
        "proposal": ("one proposal of the sampler", 1000, "ms"),
        "write": ("one write to the ledger", 1000, "ms"),
        "plan": ("planning a study that goes on: reading, sampler, ASHA", 1, "s"),
    }
    return [
        _row(f"{what} after {count:,} trials", f"{factor * parts[str(count)][name]:.3g} {unit}")
        for name, (what, factor, unit) in names.items()
        for count in counts
    ]


def _binding(each: float, proposal: float) -> list[Row]:
    """What the driver allows, from what a trial costs it and a proposal late in the study.

    The trials above came with proposals of their own, early ones; they are counted twice, which
    is on the safe side.
    """
    cost = each + proposal
    return [
        _row(
            f"shortest mean trial that keeps {GPUS} GPUs busy at the end of {LONG:,} trials",
            f"{GPUS * cost:.0f} s ({cost:.2g} s of the driver for each)",
        )
    ]


def _efficiency(count: int, found: dict[str, float]) -> list[Row]:
    ideal = count / cores()
    whole = ideal / found["all_seconds"]
    between = found["all_seconds"] - found["first_seconds"]
    running = (count - 2) / cores() / between  # both have a start and an end
    what = f"efficiency of {count} one-second trials on {cores()} slots"
    return [
        _row(
            f"{what}, start and end of the study included",
            f"{whole:.3f} of ideal list scheduling",
            f"at least {LEAST_EFFICIENCY:.2f}",
            whole >= LEAST_EFFICIENCY,
        ),
        _row(f"{what}, once they run", f"{running:.3f} of ideal list scheduling"),
    ]
