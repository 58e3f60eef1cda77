"""Harms plain Ray Tune as the tests harm this project, and notes what is left of its search.

``python -m tests.faults.attempts [NAME ...] [--times N]`` adds a line for each try to
``records/plain.jsonl``, about half a minute each.
"""

import argparse
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.command import GONE, stamp, wait_until
from tests.faults.harms import HARMS, PATIENCE, SLOWLY, Harm, PlainCommand
from tests.faults.nodes import Nodes

RECORDS = Path(__file__).resolve().parent / "records" / "plain.jsonl"
TRIALS = 4
ERROR = re.compile(r"^[\w.]+Error: .*", re.MULTILINE)


@dataclass
class Outcome:
    """What was left of a search.

    Args:
        fault: A name of the catalogue.
        codes: Exit code of each command; ``None`` of one that never ended.
        asked: Trials that were asked for.
        before: Trials that were complete before the harm.
        lost: Of those, how many the end does not show as complete.
        again: Of those, how many began again.
        complete: Trials that the end shows without an error.
        failed: Trials that the end shows with an error.
        nan: Trials that the end shows without an error and with NaN as their objective.
        from_start: Trials that had an evaluation, then began at step 0 again.
        said: The exception that ended a command, if one did.
        left: Processes that were still there after half a minute.
        seconds: Until the last command's end.
    """

    fault: str
    asked: int = TRIALS
    codes: list[int | None] = field(default_factory=list)
    before: int = 0
    lost: int = 0
    again: int = 0
    complete: int = 0
    failed: int = 0
    nan: int = 0
    from_start: int = 0
    said: str = ""
    left: int = 0
    seconds: float = 0.0


def attempt(fault: str, harm: Harm, folder: Path) -> Outcome:
    """Harm one search, let the same command go on where that is the way, and look."""
    outcome, begun = Outcome(fault), time.monotonic()
    arguments = ("--trials", str(TRIALS), *harm.arguments)
    command = PlainCommand(folder, arguments, harm.environment(folder))
    with command.started(harm.faults) as process:
        if harm.act is not None:
            wait_until(lambda: harm.when(command) or process.poll() is not None, PATIENCE)
            before, starts = set(command.lines("ended.log")), len(command.starts())
            harm.act(command, process)
        else:
            before, starts = set(), 0
        finish(process, outcome)
    if harm.repeats:
        with command.started({}) as process:
            finish(process, outcome)
    return look(command, outcome, before, starts, begun)


def finish(process: "subprocess.Popen[str]", outcome: Outcome) -> None:
    """Wait for a command's end, but not for ever."""
    try:
        _, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        outcome.codes.append(None)
        return
    outcome.codes.append(process.returncode)
    if process.returncode and (errors := ERROR.findall(err)):
        outcome.said = errors[-1][:200]


def look(
    command: PlainCommand, outcome: Outcome, before: set[str], starts: int, begun: float
) -> Outcome:
    """Compare what is shown at the end with what was there before."""
    outcome.seconds = round(time.monotonic() - begun, 1)
    path = command.folder / "marks" / "results.json"
    shown: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    complete = {key for key, made in shown.items() if made["error"] is None}
    later = {key for key, _ in command.starts()[starts:]}
    outcome.before, outcome.lost = len(before), len(before - complete)
    outcome.again = len(before & later)
    outcome.complete, outcome.failed = len(complete), len(shown) - len(complete)
    outcome.nan = sum(shown[key]["objective"] != shown[key]["objective"] for key in complete)
    evaluated = set(command.lines("evaluations.log"))
    seen: set[str] = set()
    for key, step in command.starts():
        outcome.from_start += key in seen and key in evaluated and step == 0
        seen.add(key)
    time.sleep(1)
    deadline = time.monotonic() + GONE
    while command.processes() and time.monotonic() < deadline:
        time.sleep(0.5)
    outcome.left = len(command.processes())
    for process in command.processes():
        process.kill()
    return outcome


def lose_a_node(fault: str, folder: Path, *, times: int) -> Outcome:
    """End the node of the trial that runs, ``times`` over, with another one ready."""
    outcome, begun = Outcome(fault, asked=1 if times > 1 else TRIALS), time.monotonic()
    command = PlainCommand(folder, ("--trials", str(outcome.asked)))
    with Nodes(command, SLOWLY) as nodes:
        nodes.add()
        if times == 1:
            nodes.add()
        command.arguments = (*command.arguments, "--address", nodes.address)
        with command.started(SLOWLY) as process:
            for lost in range(times):
                wait_until(lambda seen=lost: command.evaluations() > seen or _is_over(process))
                if times > 1:
                    nodes.add()
                if workers := command.workers():
                    nodes.lose_that_of(workers[0])
            finish(process, outcome)
        outcome = look(command, outcome, set(), 0, begun)
    return outcome


def _is_over(process: "subprocess.Popen[str]") -> bool:
    return process.poll() is not None


def fill_the_disk(fault: str, folder: Path) -> Outcome:
    """Let the search write to a small file system until it is full, then make room."""
    disk, outcome, begun = folder / "disk", Outcome(fault), time.monotonic()
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    try:
        command = PlainCommand(folder, ("--trials", str(TRIALS)))
        (folder / "results").symlink_to(disk)
        with command.started(SLOWLY) as process:
            finish(process, outcome)
        before, starts = set(command.lines("ended.log")), len(command.starts())
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        with command.started({}) as process:
            finish(process, outcome)
        return look(command, outcome, before, starts, begun)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


SPECIAL: dict[str, Callable[[str, Path], Outcome]] = {
    "node-lost": lambda fault, folder: lose_a_node(fault, folder, times=1),
    "nodes-lost": lambda fault, folder: lose_a_node(fault, folder, times=3),
    "disk-full": fill_the_disk,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Harm plain Ray Tune.")
    names = [*HARMS, *SPECIAL]
    parser.add_argument("names", nargs="*", help=f"of {' '.join(names)}; all if not given")
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    for name in args.names or names:
        for _ in range(args.times):
            with tempfile.TemporaryDirectory(prefix="plain-") as folder:
                special = SPECIAL.get(name)
                where = Path(folder)
                made = special(name, where) if special else attempt(name, HARMS[name], where)
            line = json.dumps({**asdict(made), **stamp()})
            print(line, flush=True)
            RECORDS.parent.mkdir(exist_ok=True)
            with RECORDS.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


if __name__ == "__main__":
    main()
