"""Harms plain Ray Tune as the tests harm this project, and notes what is left of its search.

``python -m tests.faults.attempts [NAME ...] [--times N]`` adds a line for each try to
``records/plain.jsonl``, about half a minute each.
"""

import argparse
import random
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.command import SLOW, wait_until
from tests.faults.disk import Disk
from tests.faults.harms import HARMS, PATIENCE, THREE_IN_TURN, Ended, Harm, PlainCommand, finish
from tests.faults.nodes import Nodes
from tests.faults.reliability import RECORDS, note

NODES = {"node-lost": 1, "nodes-lost": 3}  # how many are lost, one after another
DISK = "disk-full"


@dataclass
class Outcome:
    """What was left of a search.

    Args:
        fault: A name of the catalogue.
        asked: Trials that were asked for.
        setting: What was set beside the defaults; empty for nothing.
        codes: Exit code of each command; ``None`` of one that never ended.
        before: Trials that were complete before the harm.
        lost: Of those, how many the end does not show as complete.
        again: Of those, how many began again.
        complete: Trials that the end shows without an error.
        failed: Trials that the end shows with an error.
        nan: Trials that the end shows without an error and with NaN as their objective.
        from_start: Times that a trial with an evaluation began at step 0 again.
        said: The exceptions that ended commands.
        left: Processes that were still there after half a minute.
        seconds: Until the last command's end.
    """

    fault: str
    asked: int
    setting: str = ""
    codes: list[int | None] = field(default_factory=list)
    before: int = 0
    lost: int = 0
    again: int = 0
    complete: int = 0
    failed: int = 0
    nan: int = 0
    from_start: int = 0
    said: list[str] = field(default_factory=list)
    left: int = 0
    seconds: float = 0.0


@dataclass
class Attempt:
    """One search that is harmed.

    Args:
        fault: A name of the catalogue.
        command: The search.
    """

    fault: str
    command: PlainCommand
    ended: list[Ended] = field(default_factory=list)
    before: set[str] = field(default_factory=set)
    starts: int = 0
    begun: float = field(default_factory=time.monotonic)

    def look_before(self) -> None:
        """Note what is complete before the harm."""
        self.before = set(self.command.lines("ended.log"))
        self.starts = len(self.command.starts())

    def run(self, faults: dict[str, object]) -> None:
        """The command to its end."""
        with self.command.started(faults) as process:
            self.ended.append(finish(process))

    def outcome(self) -> Outcome:
        """Compare what is shown at the end with what was there before."""
        command, seconds = self.command, round(time.monotonic() - self.begun, 1)
        shown = command.results_of(self.ended)
        complete = {key for key, made in shown.items() if made["error"] is None}
        later = {key for key, _ in command.starts()[self.starts :]}
        made = Outcome(self.fault, command.trials, command.setting, seconds=seconds)
        made.codes = [ended.code for ended in self.ended]
        made.said = [ended.said for ended in self.ended if ended.said]
        made.before, made.lost = len(self.before), len(self.before - complete)
        made.again = len(self.before & later)
        made.complete, made.failed = len(complete), len(shown) - len(complete)
        made.nan = sum(shown[key]["objective"] != shown[key]["objective"] for key in complete)
        starts = [line.split() for line in command.lines("starts.log")]
        made.from_start = sum(step == "0" and done != "0" for _, step, done in starts)
        left = command.left()
        made.left = len(left)
        for process in left:
            process.kill()
        return made


def harmed(fault: str, harm: Harm, folder: Path, chance: random.Random) -> Outcome:
    """Harm one search, and let the same command go on where that is the way."""
    command = PlainCommand(folder, harm.arguments, harm.environment(folder))
    command.setting = " ".join(f"{n}={v}" for n, v in harm.told.items())
    command.environment |= harm.told
    made = Attempt(fault, command)
    with command.started(harm.faults) as process:
        if harm.act is not None:
            wait_until(lambda: harm.when(command) or process.poll() is not None, PATIENCE)
            time.sleep(chance.uniform(0.0, harm.within))
            made.look_before()
            assert process.poll() is None, "the search had ended before it was harmed"
            harm.act(command, process)
        made.ended.append(finish(process))
    if harm.repeats:
        made.run({})
    return made.outcome()


def lose_nodes(fault: str, folder: Path) -> Outcome:
    """End the node of the trial that runs, each time with another one ready."""
    times = NODES[fault]
    arguments = ("--trials", "4") if times == 1 else ("--trials", "1", "--evaluations", "8")
    command = PlainCommand(folder, arguments)
    made = Attempt(fault, command)
    with Nodes(command, SLOW) as nodes:
        nodes.add()
        command.arguments = (*arguments, "--address", nodes.address)
        if times == 1:
            nodes.add()
        with command.started(SLOW) as process:
            for _ in range(times):
                seen = command.evaluations()
                wait_until(
                    lambda seen=seen: (
                        (command.evaluations() > seen and command.workers())
                        or process.poll() is not None
                    ),
                    PATIENCE,
                )
                if process.poll() is not None:
                    break  # it has given up
                nodes.lose_that_of(command.workers()[0])
                nodes.add()
            made.ended.append(finish(process))
    return made.outcome()


def fill_the_disk(fault: str, folder: Path) -> Outcome:
    """Let there be no room on the disk after the first evaluation, then make some."""
    command = PlainCommand(folder, THREE_IN_TURN)
    made = Attempt(fault, command)
    with Disk(command.results) as disk:
        with command.started(SLOW) as process:
            wait_until(lambda: command.evaluations() > 0, PATIENCE)
            disk.fill()
            made.ended.append(finish(process))
        made.look_before()
        disk.make_room()
        made.run({})
        return made.outcome()


def attempt(name: str, folder: Path, chance: random.Random) -> Outcome:
    """One try of a row of ``HARMS``, or of the faults that need more than a process."""
    if name in NODES:
        return lose_nodes(name, folder)
    if name == DISK:
        return fill_the_disk(name, folder)
    return harmed(HARMS[name].fault or name, HARMS[name], folder, chance)


def main() -> None:
    parser = argparse.ArgumentParser(description="Harm plain Ray Tune.")
    names = [*HARMS, *NODES, DISK]
    parser.add_argument("names", nargs="*", help=f"of {' '.join(names)}; all if not given")
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    for name in args.names or names:
        for number in range(args.times):
            with tempfile.TemporaryDirectory(prefix="plain-") as folder:
                made: dict[str, Any] = asdict(attempt(name, Path(folder), random.Random(number)))
            print(note(RECORDS / "plain.jsonl", made), flush=True)


if __name__ == "__main__":
    main()
