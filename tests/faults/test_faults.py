"""What happens to a search when its machine, its disk or its data are against it.

Each fault is real: processes are killed, memory runs out, the disk is full. ``sitecustomize.py``
brings about those that must come from inside a trial.
"""

import os
import random
import re
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.command import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SHORT = ("--max-epochs", "2", "--confirm-seeds", "0", "--concurrency", "2")
SLOW: dict[str, object] = {"*": "slow"}
IN_TURN = ("--max-epochs", "2", "--confirm-seeds", "0", "--concurrency", "1")
MOMENTS = range(int(os.environ.get("FAULT_KILLS", "3")))


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, str]:
    """Six trials of which five come to grief, each in its own way."""
    command = Command(tmp_path_factory.mktemp("harmed"), ("--trials", "7", *SHORT))
    faults: dict[str, object] = {"0": "exit", "1": "segfault", "2": "memory error"}
    faults |= {"3": "nan", "4": "raise"}
    done = command.run(faults)
    assert done.returncode == 0, done.stderr
    return command, done.stderr


@pytest.mark.parametrize(
    ("number", "status", "error"),
    [
        pytest.param(0, "failed", "worker", marks=pytest.mark.fault("worker-exits")),
        pytest.param(1, "failed", "worker", marks=pytest.mark.fault("worker-crashes")),
        pytest.param(2, "oom", "MemoryError", marks=pytest.mark.fault("out-of-memory")),
        pytest.param(3, "diverged", None, marks=pytest.mark.fault("diverged")),
        pytest.param(4, "failed", "RuntimeError: mat1", marks=pytest.mark.fault("exception")),
    ],
)
def test_a_trial_that_comes_to_grief_has_one_record_that_says_how(
    harmed: tuple[Command, str], number: int, status: str, error: str | None
) -> None:
    record = harmed[0].study.trials()[number]
    assert record["status"] == status
    assert (record["error"] is None) == (error is None)
    assert error is None or error in record["error"]


def test_the_trials_beside_those_in_grief_end_as_always(harmed: tuple[Command, str]) -> None:
    command, _ = harmed
    command.assert_whole(7)
    assert {r["status"] for r in command.study.trials()[5:]} <= {"finished", "pruned"}
    command.assert_nothing_runs()


def test_a_worker_lost_twice_is_tried_twice_and_an_error_once(
    harmed: tuple[Command, str],
) -> None:
    command, _ = harmed
    keys = [record["key"] for record in command.study.trials()]
    begun = [key for key, _ in command.starts()]
    assert [begun.count(key) for key in keys] == [2, 2, 1, 1, 1, 1, 1]


def test_nobody_outside_is_spoken_to(harmed: tuple[Command, str]) -> None:
    marks = harmed[0].folder / "marks"
    assert (marks / "offline").read_text() == "1"
    calls = (marks / "outside.log").read_text().splitlines()
    # Ray's dashboard asks its host which cloud it is in, on an address that leads no further.
    assert [
        call for call in calls if not re.match(r"169\.254\.169\.254:80 .*dashboard", call)
    ] == []


@pytest.mark.fault("checkpoint-torn")
def test_a_killed_worker_whose_newest_checkpoint_is_torn_goes_on(tmp_path: Path) -> None:
    command = Command(tmp_path, ("--trials", "2", *SHORT))
    with command.started(SLOW) as process:
        wait_until(lambda: command.saved())
        for worker in command.workers():
            worker.suspend()
        torn = [states[-1] for states in command.saved().values()]
        for state in torn:
            os.truncate(state, state.stat().st_size // 2)
        command.kill_workers()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert torn
    assert [step for _, step in command.starts()[2:]] == [0] * (len(command.starts()) - 2)
    command.assert_whole(2)
    assert {r["status"] for r in command.study.trials()} <= {"finished", "pruned"}


@pytest.mark.fault("worker-killed")
def test_a_killed_worker_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    command = Command(tmp_path, ("--trials", "2", *SHORT))
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        time.sleep(0.5)
        command.kill_workers()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "lost its worker and goes on" in err
    assert len(command.starts()) > 2
    assert any(step > 0 for _, step in command.starts())
    command.assert_whole(2)
    assert {r["status"] for r in command.study.trials()} <= {"finished", "pruned"}


@pytest.mark.fault("driver-killed")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_driver_loses_nothing_and_repeats_nothing(moment: int, tmp_path: Path) -> None:
    command = Command(tmp_path, ("--trials", "4", *SHORT))
    after = random.Random(moment).uniform(0.0, 2.5)  # two at a time, they take four seconds
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        time.sleep(after)
        assert process.poll() is None
        process.kill()
        process.wait(timeout=60)
    command.assert_nothing_runs()
    before = {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
    ended = {path.stem.split("-")[1] for path in before}
    begun = len(command.starts())
    done = command.run()
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert ended.isdisjoint(key for key, _ in command.starts()[begun:])
    command.assert_whole(4)


@pytest.mark.fault("state-torn")
def test_what_ray_has_written_may_be_torn(tmp_path: Path) -> None:
    command = Command(tmp_path, ("--trials", "4", *SHORT))
    with command.started(SLOW) as process:
        wait_until(lambda: list(command.results.rglob("trials/*.json")))
        process.kill()
        process.wait(timeout=60)
    command.assert_nothing_runs()
    files = [path for path in command.results.glob("*/ray/**/*") if path.is_file()]
    assert files
    for path in files:
        os.truncate(path, path.stat().st_size // 2)
    before = {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
    done = command.run()
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in before} == before
    command.assert_whole(4)


@pytest.mark.fault("driver-killed")
def test_a_driver_killed_in_the_confirmation_goes_on_there(tmp_path: Path) -> None:
    arguments = ("--trials", "1", "--max-epochs", "2", "--confirm-seeds", "2")
    command = Command(tmp_path, (*arguments, "--concurrency", "1"))
    with command.started(SLOW) as process:
        wait_until(lambda: list(command.results.glob("*/checkpoints/*-*/*.json")))
        process.kill()
        process.wait(timeout=60)
    command.assert_nothing_runs()
    assert command.study.test_openings() == 0
    [trial] = command.study.trials()
    done = command.run()
    assert done.returncode == 0, done.stderr
    assert command.study.trials() == [trial]
    key = trial["key"]
    begun = [found for found, step in command.starts() if step == 0]
    assert begun.count(key) == 1
    assert len(begun) == len(set(begun)) == 3  # the run that was cut off did not begin anew
    assert {record["status"] for record in command.study.confirmations()} == {"finished"}
    assert len(command.study.confirmations()) == 2
    assert command.study.test_openings() == 1
    command.assert_whole(1)


@pytest.mark.fault("memory-monitor")
def test_a_trial_that_ray_kills_for_its_memory_does_not_take_the_study_down(
    tmp_path: Path,
) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 6e9:
        pytest.skip(f"{memory.available / 1e9:.0f} GB free; 6 are needed to run out of 4")
    share = (memory.total - memory.available + 4e9) / memory.total
    limit = {"RAY_memory_usage_threshold": f"{share:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    command = Command(tmp_path, ("--trials", "2", *IN_TURN), limit)
    done = command.run({"0": "hog"})
    assert done.returncode == 0, done.stderr
    assert "low on memory" in done.stderr
    assert [r["status"] == "oom" for r in command.study.trials()] == [True, False]
    assert "low on memory" in command.study.trials()[0]["error"]
    command.assert_whole(2)
