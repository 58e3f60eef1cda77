"""A whole search on an object store: the store goes, the command is killed, its machine is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.store.conftest import stored
from tests.store.s3_server import BUCKET, KEYS, Asked, Road, Rule, running_s3
from tune_sentiment.objects import Objects
from tune_sentiment.uri import SECONDS_VARIABLE
from tune_sentiment.workload import CHECKPOINT_VARIABLE

pytestmark = [pytest.mark.slow, pytest.mark.faults]
HANGING = 240  # seconds: several times what any of these commands takes
URI = f"s3://{BUCKET}/results"
TRIALS = 3
SEARCH = ["--method", "full", "--dataset", "demo", "--model", "tiny", "--trials", str(TRIALS)]
SEARCH += ["--max-epochs", "2", "--confirm-seeds", "1", "--train-samples", "100"]
SEARCH += ["--concurrency", "1", "--gpus-per-trial", "0"]
SEARCH += ["--metric", "val_loss"]  # which brings no baseline along
SVM = ["--method", "svm", "--dataset", "demo", "--model", "tiny", "--trials", "1"]
SVM += ["--confirm-seeds", "1", "--train-samples", "100", "--gpus-per-trial", "0"]


class Machines:
    """Runs commands on one machine after another, each with a cache of its own.

    Args:
        road: To the store.
        folder: For their caches and what they print.
    """

    def __init__(self, road: Road, folder: Path) -> None:
        self.road, self.folder, self.number = road, folder, 0

    @property
    def cache(self) -> Path:
        return self.folder / f"cache {self.number}"

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        self.number += 1
        own = {SECONDS_VARIABLE: "4", "TUNE_SENTIMENT_CACHE": str(self.cache), **environment}
        with self.told("out").open("w") as out, self.told("err").open("w") as err:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=CHECKOUT,
                stdout=out,  # no pipe: what a killed command leaves behind would hold it
                stderr=err,
                env={**os.environ, **self.road.environment(), **own},
            )

    def told(self, where: str) -> Path:
        return self.folder / f"{where} {self.number}.txt"

    def end(self, command: "subprocess.Popen[bytes]") -> tuple[int, str, str]:
        code = command.wait(timeout=HANGING)
        return code, self.told("out").read_text(), self.told("err").read_text()


def asked_of(road: Road) -> Counter[str]:
    """Requests by their method, those for the lease apart: they go by the clock."""
    return Counter("lease" if "/.lease" in a.path else a.method for a in road.asked)


def after_a_record(fate: str) -> Rule:
    """What becomes of all that is asked once a trial's record was put."""
    is_put = False

    def rule(asked: Asked) -> str | None:
        nonlocal is_put
        if is_put:
            return fate
        is_put = asked.method == "PUT" and "/trials/" in asked.path
        return None

    return rule


def ended(names: set[str]) -> set[str]:
    return {name for name in names if "/trials/" in name}


def content(names: set[str]) -> dict[str, bytes]:
    found = {name: Objects(URI).get(name) for name in names}
    return {name: got[0] for name, got in found.items() if got is not None}


def test_a_search_survives_the_loss_of_everything_but_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_s3() as road:
        for name, value in road.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{road.server}")  # for our looks
        machines = Machines(road, tmp_path)
        search, often = ["run_search.py", *SEARCH, "--results", URI], {CHECKPOINT_VARIABLE: "0"}

        # The store stops to answer once it has a record.
        with road.ruled(after_a_record("cut")):
            code, _, err = machines.end(machines.start(*search, **often))
        assert code == 3
        assert "Traceback" not in err
        [line] = [line for line in err.splitlines() if line.startswith("error: ")]
        assert line.startswith(f"error: {URI}/")
        assert "no answer" in line
        assert line.endswith("the same command goes on once it answers")
        first = content(ended(stored(URI)))
        assert len(first) == 1

        # The next command is killed after another one, and its machine never comes back.
        with road.ruled(after_a_record("silent")):
            command = machines.start(*search, **often)
            deadline = time.monotonic() + HANGING
            while len(ended(stored(URI))) < 2:
                assert command.poll() is None, machines.end(command)
                assert time.monotonic() < deadline
                time.sleep(0.1)
            command.send_signal(signal.SIGKILL)
            assert machines.end(command)[0] == -signal.SIGKILL
        shutil.rmtree(machines.cache, ignore_errors=True)  # others of its processes end just now
        second = content(ended(stored(URI)))
        assert len(second) == 2
        evaluations = {name for name in stored(URI) if "/evaluations/" in name}

        # The third one ends the study.
        road.asked.clear()
        code, out, err = machines.end(machines.start(*search))
        assert code == 0, err
        assert f"Results: {URI} ·" in out
        names = stored(URI)
        records = content(ended(names))
        assert first.items() <= second.items() <= records.items()
        assert len(records) == TRIALS
        assert evaluations <= names
        lines = [
            json.loads(line)
            for text in content({n for n in names if "/evaluations/" in n}).values()
            for line in text.decode().splitlines()[1:]
        ]
        sequences = Counter(line["sequence"] for line in lines)
        assert set(sequences.values()) == {1}  # none twice
        assert not any("/checkpoints/" in name or name.endswith("/.clock") for name in names)
        [openings] = content({n for n in names if n.endswith("openings.jsonl")}).values()
        assert len(openings.splitlines()) == 1
        print(f"\n{len(records) - len(second)} trials, a winner and its card were stored with")
        print(*(f"{n} {method}" for method, n in asked_of(road).most_common()), sep=", ")

        # What was found is used elsewhere, and nothing says the keys.
        machines.road.asked.clear()
        [study] = {name.partition("/")[0] for name in names if name.endswith("study.json")}
        words = ["-m", "tune_sentiment.predict", f"{URI}/{study}", "a lovely film"]
        code, out, err = machines.end(machines.start(*words))
        assert (code, len(out.splitlines())) == (0, 1), err
        told = b"".join(content(names).values())
        told += b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        assert not any(key.encode() in told for key in KEYS.values())


def test_what_a_worker_cannot_store_ends_the_command_and_leaves_its_run_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_a_worker(asked: Asked) -> str | None:  # the driver's requests are answered
        is_its = "/confirm/" in asked.path and asked.path.endswith(".safetensors")
        return "refused" if is_its and asked.method == "PUT" else None

    with running_s3() as road:
        for name, value in road.environment().items():
            monkeypatch.setenv(name, value)
        machines = Machines(road, tmp_path)
        search = ["run_search.py", *SVM, "--results", URI]
        with road.ruled(of_a_worker):
            code, _, err = machines.end(machines.start(*search))
        assert code == 3
        assert "Traceback" not in err
        [line] = [line for line in err.splitlines() if line.startswith("error: ")]
        assert line.startswith(f"error: {URI}/")
        assert line.count("/confirm/") == 1
        records = content(ended(stored(URI)))
        assert len(records) == 1
        runs = [name for name in stored(URI) if "/confirm/" in name]
        assert [name.rpartition(".")[2] for name in runs] == ["jsonl"]  # it began, and is open
        code, out, err = machines.end(machines.start(*search))
        assert code == 0, err
        assert f"Results: {URI} ·" in out
        assert content(ended(stored(URI))) == records
        [run] = [name for name in stored(URI) if "/confirm/" in name and name.endswith(".json")]
        assert json.loads(content({run})[run])["status"] == "finished"
