"""A long search whose workers die at random, whose driver dies once and is ended once.

FAULT_SOAK says how many trials of a second it has; ``make test-faults-long`` says 500.
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.faults.command import Command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif("FAULT_SOAK" not in os.environ, reason="long: make test-faults-long"),
]
TRIALS = int(os.environ.get("FAULT_SOAK", "0"))
BETWEEN = (5.0, 20.0)  # seconds from one worker's death to the next
LONG = 7200  # seconds: several times what 500 trials take
FLAT_BYTES = 40 << 20  # what driver and Ray may grow by in a third of the study
SLOW: dict[str, object] = {"*": "slow"}


class Soak:
    """Follows one command: kills its workers, and measures what lives as long as it does.

    Args:
        command: The search.
        chance: Decides which worker dies when.
    """

    def __init__(self, command: Command, chance: random.Random) -> None:
        self.command, self.chance = command, chance
        self.kills = 0
        self.memory: list[int] = []  # of this command's driver and its Ray, each second

    def records(self) -> int:
        return len(list(self.command.results.glob("*/trials/*.json")))

    def run(
        self, until: int, end: "Callable[[subprocess.Popen[str]], None] | None" = None
    ) -> tuple[int, str]:
        """Start the command, harass it until there are so many records, then end it.

        Returns:
            Its exit code, and what it said.
        """
        self.memory = []
        # The pool outside: what goes wrong in here ends the command before it is waited for.
        with ThreadPoolExecutor(1) as pool, self.command.started(SLOW) as process:
            # It is read while it runs: a full pipe would stop it.
            said = pool.submit(process.communicate, timeout=LONG)
            next_kill = time.monotonic()
            while not said.done() and self.records() < until:
                with contextlib.suppress(psutil.Error):  # one that has just ended
                    if time.monotonic() > next_kill and (workers := self.command.workers()):
                        self.chance.choice(workers).kill()
                        self.kills += 1
                        next_kill = time.monotonic() + self.chance.uniform(*BETWEEN)
                    self.memory.append(self.memory_of(process.pid))
                time.sleep(1)
            if end is not None:
                end(process)
            return _ended(process, said)

    def memory_of(self, driver: int) -> int:
        """Bytes of the driver and of Ray's own processes, which live as long as it does."""
        lasting = [psutil.Process(driver)]
        lasting += [p for p in self.command.processes() if p.name() in ("raylet", "gcs_server")]
        return sum(process.memory_info().rss for process in lasting)

    def growth(self) -> int:
        """Bytes by which they grew after they had warmed up."""
        quarter = max(1, len(self.memory) // 4)
        early, late = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return max(late) - max(early)


def _ended(process: "subprocess.Popen[str]", said: "Future[tuple[str, str]]") -> tuple[int, str]:
    _, err = said.result(timeout=LONG)
    return process.returncode, err


@pytest.mark.fault("soak")
def test_hundreds_of_trials_with_deaths_on_the_way_end_in_as_many_records(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    fixed = ("--max-epochs", "1", "--confirm-seeds", "0", "--concurrency", "2")
    command = Command(tmp_path, ("--trials", str(TRIALS), *fixed))
    soak, growth = Soak(command, random.Random(7)), []
    code, err = soak.run(TRIALS // 3, lambda process: process.kill())
    assert code == -signal.SIGKILL, err
    growth.append(soak.growth())
    command.assert_nothing_runs()
    before = {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
    code, err = soak.run(2 * TRIALS // 3, lambda process: process.terminate())
    assert code == 143, err
    growth.append(soak.growth())
    command.assert_nothing_runs()
    before |= {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
    code, err = soak.run(TRIALS)
    assert code == 0, err
    growth.append(soak.growth())
    statuses = [record["status"] for record in command.study.trials()]
    record_property("trials", len(statuses))
    record_property("kills", soak.kills)
    record_property("failed", statuses.count("failed"))
    record_property("driver and Ray grew by MB", [round(grown / 1e6) for grown in growth])
    command.assert_nothing_runs()
    assert {path: path.read_bytes() for path in before} == before
    command.assert_whole(TRIALS)
    assert max(growth) < FLAT_BYTES
