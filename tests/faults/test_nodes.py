"""What happens to a search on several nodes when one of them, or the first of all, is lost."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.command import IN_TURN, SLOW, Command, wait_until
from tests.faults.nodes import Nodes

pytestmark = [pytest.mark.slow, pytest.mark.faults]
TRIALS = ("--max-epochs", "3", "--confirm-seeds", "0", "--cpus-per-trial", "1")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(Command(tmp_path), SLOW) as made:
        yield made


@pytest.mark.fault("node-lost")
def test_the_study_goes_on_when_one_of_two_nodes_is_lost(nodes: Nodes) -> None:
    command = nodes.command
    nodes.add()
    nodes.add()
    command.arguments = ("--trials", "4", *TRIALS, "--address", nodes.address)
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 1)
        nodes.lose_that_of(command.workers()[0])
        made = {t.proposal.key: len(t.lines) for t in command.study.trainings()}
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    command.assert_whole(4)
    assert {record["status"] for record in command.study.trials()} <= {"finished", "pruned"}
    keys = [key for key, _ in command.starts()]
    again = [(key, step) for i, (key, step) in enumerate(command.starts()) if key in keys[:i]]
    assert len(again) in (1, 2)  # one a slot, and none twice
    for key, step in again:  # at most one interval is trained again
        assert step >= command.epoch_steps * (made[key] - 1)


@pytest.mark.fault("nodes-lost")
def test_nodes_that_are_lost_one_after_another_are_not_the_trials_failure(nodes: Nodes) -> None:
    command = nodes.command
    nodes.add()
    arguments = ("--trials", "1", "--max-epochs", "8", "--confirm-seeds", "0")
    command.arguments = (*arguments, "--cpus-per-trial", "1", "--address", nodes.address)
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 0)
        command.kill_workers()  # a worker that is lost twice for another reason ends its trial
        for lost in range(3):
            wait_until(lambda seen=lost: command.evaluations() > 2 * seen + 1)
            assert process.poll() is None
            nodes.add()
            nodes.lose(nodes.nodes[0])
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [record["status"] for record in command.study.trials()] == ["finished"]
    command.assert_whole(1)


@pytest.mark.fault("head-lost")
def test_with_the_head_and_all_of_rays_files_gone_the_same_command_goes_on(tmp_path: Path) -> None:
    rays = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
    command = Command(tmp_path, ("--trials", "3", *IN_TURN), {"RAY_TMPDIR": str(rays)})
    try:
        with command.started(SLOW):
            wait_until(command.records)
            assert list(rays.glob("**/session_latest"))
            command.kill_all()
        shutil.rmtree(rays)
        shutil.rmtree(command.study.path / "ray")
        rays.mkdir()
        assert command.records()
        command.assert_goes_on(3)
    finally:
        shutil.rmtree(rays, ignore_errors=True)
