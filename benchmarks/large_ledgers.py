"""A search of 10,000 trials, once it is written: reading it, tabulating it and going on with it.

The ledger is written before, by the product's own recorder (``written_ledger.py``). In each round
every command runs once in a process of its own, whose start is part of what is measured, as are
Ray's start and the workers'. Work has started once the ledger holds a proposal that is new: Ray
Tune has been handed it by then. The command is interrupted there.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.harness import Row, measure
from benchmarks.processes import CHECKOUT, run_side
from benchmarks.written_ledger import command
from tune_sentiment.environment import ENVIRONMENT
from tune_sentiment.ledger import TRIALS as EVALUATIONS

TRIALS, ROUNDS = 10_000, 3
CHECKED = "loaded and checked (python -m analysis --check)"
REPORTED = "loaded and tabulated, with every figure (python -m analysis)"
RESUMED = "work goes on with one trial more (run_search.py)"
MOST = {CHECKED: 10.0, REPORTED: 10.0, RESUMED: 30.0}  # seconds
LONGEST = 600.0  # seconds of a command
LOOK = 0.02  # seconds between two looks at a ledger


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of what each command takes, beside the most that it should."""
    trials, rounds = (40, 1) if quick else (TRIALS, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        say(f"writing {trials:,} trials")
        asked = {"results": str(results), "trials": trials}
        _, ended = run_side("benchmarks.written_ledger", asked)
        sides = {
            CHECKED: partial(_analysis, str(results), "--check"),
            REPORTED: partial(_analysis, str(results), "--output", f"{folder}/report"),
            RESUMED: partial(_start_of_work, results, trials),
        }
        found = measure(sides, rounds, say)
    counts = ", ".join(f"{count:,} {status}" for status, count in ended.items())
    rows: list[Row] = [{"what": "trials", "peer": "", "value": counts, "is_met": None}]
    return rows + [_row(trials, name, costs) for name, costs in found.costs.items()]


def _row(trials: int, name: str, costs: Sequence[float]) -> Row:
    return {
        "what": f"{trials:,} trials: {name}",
        "peer": f"under {MOST[name]:.0f} s",
        "value": f"{median(costs):.1f} s ({min(costs):.1f} to {max(costs):.1f} s)",
        "is_met": median(costs) < MOST[name],
    }


def _analysis(*words: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "analysis", *words],
        cwd=CHECKOUT,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    if done.returncode != 0:
        raise RuntimeError(f"analysis failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return time.perf_counter() - started


def _start_of_work(results: Path, trials: int) -> float:
    """Seconds from the command's start until it has begun a new trial, on a copy of the ledger."""
    with tempfile.TemporaryDirectory(dir=results.parent) as folder:
        copy = Path(folder) / "results"
        shutil.copytree(results, copy, copy_function=os.link)  # whoever writes makes new files
        [evaluations] = copy.glob(f"*-lora-*/{EVALUATIONS}")
        assert _count(evaluations) == trials
        log = Path(folder) / "log"
        with log.open("w") as file:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "run_search.py", *command(copy, trials + 1)],
                cwd=CHECKOUT,
                env={**_environment(), "TUNE_SENTIMENT_CACHE": f"{folder}/cache"},
                stdout=file,
                stderr=file,
            )
            try:
                _wait(process, evaluations, log)
                seconds = time.perf_counter() - started
                process.send_signal(signal.SIGTERM)
                process.wait(LONGEST)
            finally:
                process.kill()
                process.wait()
        return seconds


def _wait(process: "subprocess.Popen[bytes]", evaluations: Path, log: Path) -> None:
    """Wait until a command has begun a training that its ledger did not have.

    Raises:
        RuntimeError: If it ends before, or takes too long.
    """
    before, changed = _count(evaluations), evaluations.stat().st_mtime_ns
    until = time.monotonic() + LONGEST
    while True:
        time.sleep(LOOK)
        now = evaluations.stat().st_mtime_ns
        if now != changed and _count(evaluations) > before:
            return
        changed = now
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"run_search.py began nothing:\n{log.read_text()[-2000:]}")


def _count(evaluations: Path) -> int:
    return sum(path.suffix == ".jsonl" for path in evaluations.iterdir())


def _environment() -> dict[str, str]:
    """What a person's commands have: nothing of what this process has set for itself."""
    return {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
