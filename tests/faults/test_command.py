"""What happens to the command itself: signals, a Ray that hangs, a full disk, a second command."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.command import IN_TURN, LONG, SLOW, Command, wait_until
from tests.faults.disk import Disk, NoDiskError

pytestmark = [pytest.mark.slow, pytest.mark.faults]


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
        wait_until(command.records)
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
    assert command.records()
    command.assert_goes_on(3)


@pytest.mark.fault("ray-hangs")
@pytest.mark.parametrize("is_pressed_again", [pytest.param(False, marks=LONG), True])
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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        with Disk(tmp_path / "results") as made:
            yield made
    except NoDiskError as error:
        pytest.skip(f"no disk of its own: {error}")


@pytest.mark.fault("disk-full")
@pytest.mark.parametrize("moment", ["evaluations", pytest.param("trials", marks=LONG)])
def test_a_full_disk_ends_in_one_line_and_harms_nothing_that_is_written(
    moment: str, disk: Disk, tmp_path: Path
) -> None:
    command = Command(tmp_path, ("--trials", "3", *IN_TURN))
    with command.started(SLOW) as process:
        wait_until(lambda: list(disk.folder.glob(f"*/{moment}/*")))
        disk.fill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 3
    assert "No space left on device" in err
    assert "Traceback" not in err
    command.assert_nothing_runs()
    assert command.records() or moment == "evaluations"
    disk.make_room()
    command.assert_goes_on(3)


@pytest.mark.fault("started-twice")
def test_one_study_runs_once_at_a_time_and_leftovers_of_another_go(tmp_path: Path) -> None:
    command = Command(tmp_path, ("--trials", "2", *IN_TURN))
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        process.send_signal(signal.SIGSTOP)  # on a busy machine it might end before it is met
        asked = time.monotonic()
        refused = command.run()
        assert time.monotonic() - asked < 30
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
