"""Measuring in turn: the sides of a round run one after the other, the next round backwards.

A machine that is slow for a while then slows both sides of a ratio. A null row, ours against ours,
shows what is left of the noise.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tune_sentiment.provenance import commit, device_name, now

OURS = "ours"
NULL = "ours again"
PACKAGES = ("ray", "optuna", "torch", "transformers", "peft", "scikit-learn", "numpy")
RECORDS = Path(__file__).resolve().parent / "records"
SGEMM_SIZE = 1024
SGEMM_TIMES = 8

Side = Callable[[], float]
Row = dict[str, Any]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """What a file has, a JSON object in each line; a line that was cut is none."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def add_line(path: Path, made: dict[str, Any]) -> None:
    """Add an object to a file that ``read_lines`` reads, in place of a line that was cut."""
    before = path.read_bytes() if path.exists() else b""
    with path.open("ab") as file:
        file.truncate(before.rfind(b"\n") + 1)
        file.write(f"{json.dumps(made)}\n".encode())


@dataclass(frozen=True)
class Rounds:
    """Costs of every side in every round.

    Args:
        costs: By side, one number a round: seconds, or seconds per piece of work.
    """

    costs: Mapping[str, Sequence[float]]

    def rows(
        self,
        what: str,
        targets: Mapping[str, float] | None = None,
        limit: float | None = None,
        **facts: Any,
    ) -> list[Row]:
        """One row for each peer: its cost over ours, with the interval of the median.

        The interval spans the smallest and the largest of ``n`` rounds; it covers the median in
        1 - 2^(1 - n) of all runs, whatever the distribution.

        Args:
            what: What was run.
            targets: Ratio hoped for, by peer.
            limit: The least that our cost could be.
            **facts: Kept beside the figures.
        """
        made = []
        for peer in (name for name in self.costs if name != OURS):
            pairs = zip(self.costs[peer], self.costs[OURS], strict=True)
            ratios = [theirs / mine for theirs, mine in pairs]
            made.append(
                {
                    "what": what,
                    "peer": peer,
                    "ratio": median(ratios),
                    "low": min(ratios),
                    "high": max(ratios),
                    "rounds": len(ratios),
                    "target": (targets or {}).get(peer),
                    "limit_fraction": limit and limit / median(self.costs[OURS]),
                    "costs": {name: list(self.costs[name]) for name in (OURS, peer)},
                    **facts,
                }
            )
        return made


def missing(what: str, peer: str, why: str) -> Row:
    """A row that was not measured."""
    return {"what": what, "peer": peer, "missing": why}


def measure(sides: Mapping[str, Side], rounds: int, say: Callable[[str], None]) -> Rounds:
    """Run every side once a round, forwards and backwards in turn.

    Args:
        sides: Each returns what it cost; ``OURS`` is among them.
        rounds: How often.
        say: Told each cost.
    """
    costs: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, key=list(sides).index, reverse=number % 2 == 1):
            cost = sides[name]()
            costs[name].append(cost)
            say(f"  round {number + 1}/{rounds} {name}: {cost:.4g}")
    return Rounds(costs)


def sgemm_gflops(threads: int) -> float:
    """What a large single-precision matrix product reaches here and now, the best of a few."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b = (torch.rand(SGEMM_SIZE, SGEMM_SIZE) for _ in range(2))
    seconds = []
    for _ in range(SGEMM_TIMES):
        started = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - started)
    torch.set_num_threads(before)
    return 2 * SGEMM_SIZE**3 / min(seconds) / 1e9


def circumstances(threads: int) -> dict[str, Any]:
    """What a figure depends on: machine, load, speed of a matrix product, versions, commit."""
    return {
        "time": now(),
        "commit": commit(),
        "device": device_name("cpu"),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": [round(value, 2) for value in os.getloadavg()],
        "sgemm_gflops": round(sgemm_gflops(threads), 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
