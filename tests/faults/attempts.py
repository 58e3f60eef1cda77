"""Harms plain Ray Tune as the tests harm this project, and notes what is left of its search.

``python -m tests.faults.attempts [NAME ...] [--times N]`` adds a line for each try to
``records/plain.jsonl``, about half a minute each.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil

from tests.faults.command import GONE, Command, stamp, wait_until
from tests.faults.nodes import Nodes

RECORDS = Path(__file__).resolve().parent / "records" / "plain.jsonl"
PATIENCE = 120  # seconds, several times what a whole search takes
TRIALS = 4
ERROR = re.compile(r"^[\w.]+Error: .*", re.MULTILINE)


class PlainCommand(Command):
    """A search by plain Ray Tune, with the methods by which tests look at ours."""

    script: ClassVar[str] = "tests/faults/plain.py"

    @property
    def words(self) -> list[str]:
        return ["--results", str(self.results), *self.arguments]

    def evaluations(self) -> int:
        return len(self.lines("evaluations.log"))

    def lines(self, name: str) -> list[str]:
        path = self.folder / "marks" / name
        return path.read_text().split("\n")[:-1] if path.exists() else []


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


@dataclass(frozen=True)
class Harm:
    """What is done to a search, and when.

    Args:
        faults: From inside a trial, as ``sitecustomize.py`` knows them.
        when: From outside: waited for.
        act: From outside: done then.
        repeats: Whether the same command runs again afterwards.
        arguments: Of the command.
        environment: Of the command.
    """

    faults: dict[str, object] = field(default_factory=dict)
    when: Callable[[PlainCommand], object] = lambda command: True
    act: Callable[[PlainCommand, "subprocess.Popen[str]"], object] | None = None
    repeats: bool = False
    arguments: tuple[str, ...] = ()
    environment: Callable[[Path], dict[str, str]] = lambda folder: {}


def has_evaluation(command: PlainCommand) -> bool:
    return command.evaluations() > 0


def has_ended(command: PlainCommand) -> bool:
    return len(command.lines("ended.log")) > 1


def kill_driver(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait(timeout=60)
    wait_until(lambda: not command.processes(), seconds=GONE)


def tear_state(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    """Cut the newest state in half, as a machine does that stops while it is written."""
    kill_driver(command, process)
    states = sorted(command.results.glob("search/experiment_state-*.json"))
    os.truncate(states[-1], states[-1].stat().st_size // 2)


def tear_checkpoint(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    """Cut each trial's newest checkpoint in half, and kill the workers."""
    for worker in command.workers():
        worker.suspend()
    for trial in command.results.glob("search/train_*"):
        for state in sorted(trial.glob("checkpoint_*/state.json"))[-1:]:
            os.truncate(state, state.stat().st_size // 2)
    command.kill_workers()


def lose_everything(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    command.kill_all()
    shutil.rmtree(command.environment["RAY_TMPDIR"])
    Path(command.environment["RAY_TMPDIR"]).mkdir()


def start_again(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    """Start the same command beside the first, and wait for it."""
    with command.started({}) as second:
        second.communicate(timeout=PATIENCE)


def little_memory(folder: Path) -> dict[str, str]:
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + 4e9) / memory.total
    monitor = "RAY_memory_monitor_refresh_ms"
    return {"RAY_memory_usage_threshold": f"{share:.4f}", monitor: "100"}


def own_ray_folder(folder: Path) -> dict[str, str]:
    return {"RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-")}  # short: sockets lie in it


SLOWLY: dict[str, object] = {"*": "slow"}
HARMS = {
    "worker-killed": Harm(SLOWLY, has_evaluation, lambda c, p: c.kill_workers()),
    "worker-exits": Harm({"0": "exit"}),
    "worker-crashes": Harm({"0": "segfault"}),
    "exception": Harm({"0": "raise"}),
    "diverged": Harm({"0": "nan"}),
    "out-of-memory": Harm({"0": "memory error"}),
    "memory-monitor": Harm({"0": "hog"}, environment=little_memory),
    "driver-killed": Harm(SLOWLY, has_ended, kill_driver, repeats=True),
    "interrupted": Harm(
        SLOWLY, has_ended, lambda c, p: os.killpg(p.pid, signal.SIGINT), repeats=True
    ),
    "terminated": Harm(SLOWLY, has_ended, lambda c, p: p.terminate(), repeats=True),
    "state-torn": Harm(SLOWLY, has_ended, tear_state, repeats=True),
    "checkpoint-torn": Harm(SLOWLY, has_evaluation, tear_checkpoint),
    "started-twice": Harm(SLOWLY, has_evaluation, start_again),
    "no-resources": Harm(arguments=("--gpus-per-trial", "64")),
    "head-lost": Harm(SLOWLY, has_ended, lose_everything, repeats=True, environment=own_ray_folder),
}


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
