"""What is done to a search by plain Ray Tune: the harm that the tests do to ours."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psutil

from tests.faults.command import GONE, Command, wait_until

PATIENCE = 120  # seconds, several times what a whole search takes
SLOWLY: dict[str, object] = {"*": "slow"}
STATES = "search/experiment_state-*.json"


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


def has_state(command: PlainCommand) -> bool:
    """Whether some trials have ended, and Tune has written down what it knows."""
    return has_ended(command) and any(command.results.glob(STATES))


def kill_driver(command: PlainCommand, process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait(timeout=60)
    wait_until(lambda: not command.processes(), seconds=GONE)


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
        second.communicate(timeout=PATIENCE)


def little_memory(folder: Path) -> dict[str, str]:
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + 4e9) / memory.total
    monitor = "RAY_memory_monitor_refresh_ms"
    return {"RAY_memory_usage_threshold": f"{share:.4f}", monitor: "100"}


def own_ray_folder(folder: Path) -> dict[str, str]:
    return {"RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-")}  # short: sockets lie in it


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
    "state-torn": Harm(SLOWLY, has_state, tear_state, repeats=True),
    "checkpoint-torn": Harm(SLOWLY, has_evaluation, tear_checkpoint),
    "started-twice": Harm(SLOWLY, has_evaluation, start_again),
    "no-resources": Harm(arguments=("--gpus-per-trial", "64")),
    "head-lost": Harm(SLOWLY, has_ended, lose_everything, repeats=True, environment=own_ray_folder),
}
