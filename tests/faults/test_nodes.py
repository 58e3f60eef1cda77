"""What happens to a search on several nodes when one of them, or the first of all, is lost."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.cluster_utils import Cluster

from tests.faults.command import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SLOW: dict[str, object] = {"*": "slow"}
STORE_BYTES = 100 << 20
TRIALS = ("--max-epochs", "3", "--confirm-seeds", "0", "--cpus-per-trial", "1")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, Command]]:
    """A head that runs no trial, and a command that searches on its nodes."""
    command = Command(tmp_path)
    for name, value in command.surroundings(SLOW).items():
        monkeypatch.setenv(name, value)  # of the nodes, whose workers have it from them
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES},
    )
    try:
        yield made, command
    finally:
        made.shutdown()


def lose(cluster: Cluster, node: Any) -> None:
    """End a node as a power cut does: all its processes at once."""
    raylets = [info.process.pid for info in node.all_processes["raylet"]]
    processes = [p for pid in raylets for p in psutil.Process(pid).children(recursive=True)]
    for process in [*processes, *map(psutil.Process, raylets)]:
        process.kill()
    cluster.remove_node(node, allow_graceful=False)


def node_of(nodes: list[Any], worker: psutil.Process) -> Any:
    """The node whose raylet started a worker."""
    parents = {parent.pid for parent in worker.parents()}
    for node in nodes:
        if parents & {info.process.pid for info in node.all_processes["raylet"]}:
            return node
    raise AssertionError(f"{worker} belongs to no node")


def test_the_study_goes_on_when_one_of_two_nodes_is_lost(
    cluster: tuple[Cluster, Command],
) -> None:
    made, command = cluster
    nodes = [made.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
    command.arguments = ("--trials", "4", *TRIALS, "--address", made.address)
    with command.started(SLOW) as process:
        wait_until(lambda: command.evaluations() > 1)
        [first, *_] = command.workers()
        lose(made, node_of(nodes, first))
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    command.assert_whole(4)
    assert {record["status"] for record in command.study.trials()} <= {"finished", "pruned"}
    keys = [key for key, _ in command.starts()]
    again = [(key, step) for i, (key, step) in enumerate(command.starts()) if key in keys[:i]]
    assert len(again) in (1, 2)  # one a slot, and none twice
    for key, step in again:
        training = next(t for t in command.study.trainings() if t.proposal.key == key)
        # At most one interval is trained again.
        assert step >= command.epoch_steps or len(training.lines) < 2


def test_nodes_that_are_lost_one_after_another_are_not_the_trials_failure(
    cluster: tuple[Cluster, Command],
) -> None:
    made, command = cluster
    nodes = [made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)]
    arguments = ("--trials", "1", "--max-epochs", "8", "--confirm-seeds", "0")
    command.arguments = (*arguments, "--cpus-per-trial", "1", "--address", made.address)
    with command.started(SLOW) as process:
        for lost in range(3):  # a worker that is lost twice ends its trial
            wait_until(lambda seen=lost: command.evaluations() > 2 * seen)
            nodes.append(made.add_node(num_cpus=1, object_store_memory=STORE_BYTES))
            lose(made, nodes[lost])
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [record["status"] for record in command.study.trials()] == ["finished"]
    command.assert_whole(1)


def test_with_the_head_and_all_of_rays_files_gone_the_same_command_goes_on(tmp_path: Path) -> None:
    rays = Path(tempfile.mkdtemp(prefix="ray-"))  # short: sockets lie in it
    arguments = ("--trials", "3", "--max-epochs", "2", "--confirm-seeds", "0")
    command = Command(tmp_path, (*arguments, "--concurrency", "1"), {"RAY_TMPDIR": str(rays)})
    try:
        with command.started(SLOW):
            wait_until(lambda: list(command.results.rglob("trials/*.json")))
            assert list(rays.glob("**/session_latest"))
            for each in command.processes():
                each.kill()
            wait_until(lambda: not command.processes())
        shutil.rmtree(rays)
        shutil.rmtree(command.study.path / "ray")
        before = {path: path.read_bytes() for path in command.results.rglob("trials/*.json")}
        rays.mkdir()
        done = command.run()
    finally:
        shutil.rmtree(rays, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert before
    assert {path: path.read_bytes() for path in before} == before
    command.assert_whole(3)
    command.assert_nothing_runs()
