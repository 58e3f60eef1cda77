"""What happens to a search when its machine, its disk or its data are against it.

Each fault is real: processes are killed, memory runs out, the disk is full. ``sitecustomize.py``
brings about those that must come from inside a trial.
"""

import os
import random
import signal
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


def test_trials_do_not_ask_the_hub(harmed: tuple[Command, str]) -> None:
    assert (harmed[0].folder / "marks" / "offline").read_text() == "1"


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
    after = random.Random(moment).uniform(0.0, 6.0)
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        time.sleep(after)
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


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.fault("interrupted")),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.fault("terminated")),
    ],
)
def test_a_signal_ends_in_order_and_says_how_to_go_on(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    command = Command(tmp_path, ("--trials", "3", *IN_TURN))
    with command.started(SLOW) as process:
        wait_until(lambda: list(command.results.rglob("trials/*.json")))
        # A terminal sends Ctrl-C to every process of the command, a batch system to the first.
        sent = time.monotonic()
        os.killpg(process.pid, number) if code == 130 else process.send_signal(number)
        _, err = process.communicate(timeout=300)
        assert time.monotonic() - sent < 20
    assert process.returncode == code, err
    assert f"run_search.py {' '.join(command.words)}" in err
    assert "Traceback" not in err
    assert command.study.test_openings() == 0
    command.assert_nothing_runs()
    before = {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
    done = command.run()
    assert done.returncode == 0, done.stderr
    assert before
    assert {path: path.read_bytes() for path in before} == before
    command.assert_whole(3)


@pytest.mark.fault("ray-hangs")
@pytest.mark.parametrize("is_pressed_again", [False, True])
def test_a_ray_that_hangs_is_left_behind_and_at_once_after_a_second_interrupt(
    is_pressed_again: bool, tmp_path: Path
) -> None:
    command = Command(tmp_path, ("--trials", "3", *IN_TURN))
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        for each in command.processes():
            if each.name() == "raylet":
                each.suspend()
        sent = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None
        if is_pressed_again:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        took = time.monotonic() - sent
    assert took < (5 if is_pressed_again else 20)
    assert process.returncode in (130, -signal.SIGINT)  # a shell says 130 of both
    command.assert_nothing_runs()


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


@pytest.mark.fault("disk-full")
@pytest.mark.parametrize("write", [4, 9])
def test_a_full_disk_ends_in_one_line_and_harms_nothing_that_is_written(
    write: int, tmp_path: Path
) -> None:
    command = Command(tmp_path, ("--trials", "3", *IN_TURN))
    done = command.run({"ledger": write})
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    command.assert_nothing_runs()
    before = {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
    begun = len(command.starts())
    again = command.run()
    assert again.returncode == 0, again.stderr
    ended = {path.stem.split("-")[1] for path in before}
    assert {path: path.read_bytes() for path in before} == before
    assert ended.isdisjoint(key for key, _ in command.starts()[begun:])
    command.assert_whole(3)


@pytest.mark.fault("started-twice")
def test_one_study_runs_once_at_a_time_and_leftovers_of_another_go(tmp_path: Path) -> None:
    command = Command(tmp_path, ("--trials", "2", *IN_TURN))
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        asked = time.monotonic()
        refused = command.run()
        assert time.monotonic() - asked < 30
        assert process.poll() is None
        process.kill()
        process.wait(timeout=60)
    assert refused.returncode == 3
    assert f"is being run by process {process.pid}" in refused.stderr
    command.assert_nothing_runs()
    left = command.study.path / "trials" / ".00000-k.json.1.tmp"
    for _ in range(2):  # of a study under way, and of one that is complete
        left.parent.mkdir(exist_ok=True)
        left.write_text("{")
        assert command.run().returncode == 0
        command.assert_whole(2)


@pytest.mark.fault("no-resources")
@pytest.mark.parametrize("asked", [("--gpus-per-trial", "64"), ("--cpus-per-trial", "999")])
def test_resources_that_are_not_there_are_refused_before_ray_starts(
    asked: tuple[str, str], tmp_path: Path
) -> None:
    command = Command(tmp_path, ("--trials", "2", *asked))
    started = time.monotonic()
    done = command.run()
    assert time.monotonic() - started < 30
    assert done.returncode == 3
    assert "asked for a trial" in done.stderr
    assert "starting Ray" not in done.stderr
    assert not list(command.results.glob("*"))
