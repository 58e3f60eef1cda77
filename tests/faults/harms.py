"""What is done to a search by plain Ray Tune: the harm that the tests do to ours."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil

from tests.faults.command import SLOW, Command, wait_until

PATIENCE = 120  # seconds, several times what a whole search takes
STATES = "search/experiment_state-*.json"
ERROR = re.compile(r"^([\w.]+(?:Error|Exception)): ", re.MULTILINE)
FRAME = re.compile(r'^  File "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        pid: Its process.
        code: Its exit code; ``None`` if it never ended.
        said: The exception that ended it, if one did.
    """

    pid: int
    code: int | None
    said: str = ""


class PlainCommand(Command):
    """A search by plain Ray Tune, with the methods by which tests look at ours."""

    script: ClassVar[str] = "tests/faults/plain.py"
    setting: str = ""

    @property
    def words(self) -> list[str]:
        return ["--results", str(self.results), *self.arguments]

    @property
    def trials(self) -> int:
        return int(self.arguments[self.arguments.index("--trials") + 1])

    def evaluations(self) -> int:
        return len(self.lines("evaluations.log"))

    def lines(self, name: str) -> list[str]:
        path = self.folder / "marks" / name
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def results_of(self, commands: Sequence[Ended]) -> dict[str, Any]:
        """How each trial ended, by the last of these commands that said so."""
        for ended in reversed(commands):
            path = self.folder / "marks" / f"results-{ended.pid}.json"
            if path.exists():
                shown: dict[str, Any] = json.loads(path.read_text())
                return shown
        return {}


@dataclass(frozen=True)
class Harm:
    """What is done to a search, and when.

    Args:
        faults: From inside a trial, as ``sitecustomize.py`` knows them.
        when: From outside: waited for.
        act: From outside: done then.
        within: Or at a random moment of so many seconds from then on.
        repeats: Whether the same command runs again afterwards.
        arguments: Of the command, as those of our test.
        environment: Of the command.
        told: Set beside Ray Tune's defaults.
        fault: A name of the catalogue, if it is not the harm's own.
    """

    faults: dict[str, object] = field(default_factory=dict)
    when: Callable[[PlainCommand], object] = lambda command: True
    act: Callable[[PlainCommand, "subprocess.Popen[str]"], object] | None = None
    within: float = 0.0
    repeats: bool = False
    arguments: tuple[str, ...] = ("--trials", "4")
    environment: Callable[[Path], dict[str, str]] = lambda folder: {}
    told: Mapping[str, str] = field(default_factory=dict)
    fault: str | None = None


def finish(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a command's end, but not for ever."""
    try:
        _, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Ended(process.pid, None)
    if not process.returncode:
        return Ended(process.pid, 0)
    frames, errors = FRAME.findall(err), ERROR.findall(err)
    if frames and process.returncode > 0:
        assert Path(frames[-1]).name != "plain.py", err  # that is our own mistake, not Ray's
    return Ended(process.pid, process.returncode, errors[-1] if errors else "")


def has_evaluation(command: PlainCommand) -> bool:
    return command.evaluations() > 0


def has_ended(command: PlainCommand) -> bool:
    return bool(command.lines("ended.log"))


def has_state(command: PlainCommand) -> bool:
    """Whether a trial has ended, and Tune has written down what it knows."""
    return has_ended(command) and any(command.results.glob(STATES))


def kill_driver(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait(timeout=60)
    wait_until(lambda: not command.processes(), seconds=PATIENCE)


def tear_state(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    """Cut the newest state in half, as a machine does that stops while it is written."""
    kill_driver(command, process)
    states = sorted(command.results.glob(STATES))
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
        finish(second)


def little_memory(folder: Path) -> dict[str, str]:
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + 4e9) / memory.total
    monitor = "RAY_memory_monitor_refresh_ms"
    return {"RAY_memory_usage_threshold": f"{share:.4f}", monitor: "100"}


def own_ray_folder(folder: Path) -> dict[str, str]:
    return {"RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-")}  # short: sockets lie in it


TWO = ("--trials", "2")
THREE_IN_TURN = ("--trials", "3", "--concurrency", "1")
AT_ONCE = {"TUNE_GLOBAL_CHECKPOINT_S": "0"}  # instead of each ten seconds or more
HARMS = {
    "worker-killed": Harm(SLOW, has_evaluation, lambda c, p: c.kill_workers(), arguments=TWO),
    "worker-exits": Harm({"0": "exit"}),
    "worker-crashes": Harm({"0": "segfault"}),
    "exception": Harm({"0": "raise"}),
    "diverged": Harm({"0": "nan"}),
    "out-of-memory": Harm({"0": "memory error"}),
    "memory-monitor": Harm(
        {"0": "hog"}, arguments=(*TWO, "--concurrency", "1"), environment=little_memory
    ),
    "driver-killed": Harm(SLOW, has_evaluation, kill_driver, within=2.5, repeats=True),
    "driver-killed-at-once": Harm(
        SLOW,
        has_evaluation,
        kill_driver,
        within=2.5,
        repeats=True,
        told=AT_ONCE,
        fault="driver-killed",
    ),
    "interrupted": Harm(
        SLOW,
        has_ended,
        lambda c, p: os.killpg(p.pid, signal.SIGINT),
        repeats=True,
        arguments=THREE_IN_TURN,
    ),
    "terminated": Harm(
        SLOW, has_ended, lambda c, p: p.terminate(), repeats=True, arguments=THREE_IN_TURN
    ),
    "state-torn": Harm(SLOW, has_state, tear_state, repeats=True),
    "checkpoint-torn": Harm(SLOW, has_evaluation, tear_checkpoint, arguments=TWO),
    "started-twice": Harm(
        SLOW, has_evaluation, start_again, arguments=(*TWO, "--concurrency", "1")
    ),
    "no-resources": Harm(arguments=(*TWO, "--gpus-per-trial", "64")),
    "head-lost": Harm(
        SLOW,
        has_ended,
        lose_everything,
        repeats=True,
        arguments=THREE_IN_TURN,
        environment=own_ray_folder,
    ),
}
