"""Runs the real command on a small data set, harmed or not, and says what it left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from tune_sentiment.ledger import StudyFolder

# Beside one case of each kind, which every run of the tests has.
LONG = pytest.mark.skipif("FAULT_LONG" not in os.environ, reason="long: make test-faults-long")
SLOW: dict[str, object] = {"*": "slow"}  # every trial, so that something can happen to it
IN_TURN = ("--max-epochs", "2", "--confirm-seeds", "0", "--concurrency", "1")
ROOT = Path(__file__).resolve().parents[2]
HANGING = 300  # seconds: several times what any of these commands takes
GONE = 30  # seconds until every process of a killed command must be gone
# Ray gives these a minute, fixed in its code, to tell a head that was killed that the node is gone.
# They hold no trial and no GPU, and their environment can be read at some times only.
AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}


@dataclass
class Command:
    """The command with a folder of its own.

    Args:
        folder: Data, results and marks of faults go below it.
        arguments: Beside those that every command here has.
        environment: Beside this process' own.
    """

    folder: Path
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    script: ClassVar[str] = "run_search.py"
    prefix: tuple[str, ...] = ()  # what runs the command elsewhere
    epoch_steps: ClassVar[int] = 10  # of 160 training texts in batches of 16

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def words(self) -> list[str]:
        data = self.folder / "films.tsv"
        if not data.exists():
            kinds = ("a dull and cold", "a warm and funny")
            rows = [f"{i % 2}\t{kinds[i % 2]} film number {i}" for i in range(200)]
            data.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")
        # The SVM has no loss, so no baseline comes along.
        fixed = ["--metric", "val_loss", "--max-length", "32"]
        fixed += ["--fix", "batch_size=16"]  # ten steps an epoch: each fault comes before its end
        if "--gpus-per-trial" not in self.arguments:
            fixed += ["--gpus-per-trial", "0"]
        words = ["--method", "full", "--dataset", str(data), "--model", "tiny", *fixed]
        if "--results" not in self.arguments:
            words += ["--results", str(self.results)]
        return [*words, *self.arguments]

    def surroundings(self, faults: dict[str, object]) -> dict[str, str]:
        """What every process of the command finds in its environment."""
        (self.folder / "marks").mkdir(parents=True, exist_ok=True)
        return {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "faults"), str(ROOT)]),
            "TUNE_SENTIMENT_CHECKPOINT_SECONDS": "0",
            "FAULT_FOLDER": str(self.folder / "marks"),
            "FAULTS": json.dumps(faults),
            "FAULT_RUN": self.name,
            "HF_HUB_OFFLINE": "0",
            **self.environment,
        }

    @contextmanager
    def started(self, faults: dict[str, object]) -> Iterator["subprocess.Popen[str]"]:
        """The command as a person's shell starts it, in a process group of its own."""
        process = subprocess.Popen(
            [*self.prefix, sys.executable, self.script, *self.words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**os.environ, **self.surroundings(faults)},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=HANGING)

    def run(self, faults: dict[str, object] | None = None) -> "subprocess.CompletedProcess[str]":
        """The command to its end."""
        with self.started(faults or {}) as process:
            out, err = process.communicate(timeout=HANGING)
        return subprocess.CompletedProcess(self.words, process.returncode, out, err)

    @property
    def study(self) -> StudyFolder:
        [path] = self.results.glob("films-tiny-full-*")
        return StudyFolder(path)

    def evaluations(self) -> int:
        """Evaluations in the ledger so far."""
        files = list(self.results.glob("*/evaluations/*.jsonl"))
        return sum(len(path.read_text().splitlines()) - 1 for path in files)

    def starts(self) -> list[tuple[str, int]]:
        """Key and first step of each training that began, in order."""
        path = self.folder / "marks" / "starts.log"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def saved(self) -> dict[str, list[Path]]:
        """States of each training that has some, the newest last."""
        found: dict[str, list[Path]] = {}
        for manifest in sorted(self.results.glob("*/checkpoints/*/*.json")):
            state = manifest.with_suffix(".safetensors")
            found.setdefault(manifest.parent.name, []).append(state)
        return found

    def processes(self, title: str | None = None) -> list[psutil.Process]:
        """Processes of this command that are alive, but for Ray's agents; or those so titled."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):  # it may end while it is looked at
                is_ours = process.environ().get("FAULT_RUN") == self.name
                is_ours &= process.name() not in AGENTS
                is_meant = title is None or process.cmdline()[:1] == [title]
                if is_ours and is_meant and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that run a trial."""
        return self.processes("ray::ImplicitFunc.train")

    def kill_workers(self) -> None:
        """End those that run a trial, with -9."""
        for worker in self.workers():
            with contextlib.suppress(psutil.Error):
                worker.kill()

    def kill_all(self) -> None:
        """End driver, Ray and workers at once, as a power cut does."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        wait_until(lambda: not self.processes())

    def left(self) -> list[psutil.Process]:
        """Processes that did not end in the time that they are allowed."""
        deadline = time.monotonic() + GONE
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def assert_nothing_runs(self) -> None:
        left = self.left()
        assert not left, left

    def records(self) -> dict[Path, bytes]:
        """What is written of each trial that has ended."""
        return {path: path.read_bytes() for path in self.results.glob("*/trials/*.json")}

    def assert_goes_on(self, trials: int) -> None:
        """The same command ends with all trials; no record changes, none that ended begins anew."""
        before, begun = self.records(), len(self.starts())
        done = self.run()
        assert done.returncode == 0, done.stderr
        assert {path: path.read_bytes() for path in before} == before
        ended = {path.stem.split("-")[1] for path in before}
        assert ended.isdisjoint(key for key, _ in self.starts()[begun:])
        self.assert_whole(trials)
        self.assert_nothing_runs()

    def assert_whole(self, trials: int) -> None:
        """Each trial has one record and each evaluation one line, and nothing is left over."""
        records, study = self.study.trials(), self.study
        assert [record["number"] for record in records] == list(range(trials))
        assert len({record["key"] for record in records}) == trials
        sequences = [line["sequence"] for made in study.trainings() for line in made.lines]
        assert sorted(sequences) == list(range(1, len(sequences) + 1))
        for made in study.trainings():
            numbers = [line["evaluation"] for line in made.lines]
            assert numbers == list(range(1, len(numbers) + 1))
        assert not list(study.checkpoints.glob("*"))
        assert not list(study.path.rglob(".*.tmp"))


def wait_until(condition: Callable[[], object], seconds: float = HANGING) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
