"""A search across machines that share the results folder and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.command import ROOT, SLOW, Command, wait_until
from tests.faults.machines import Cluster, Namespaces, Processes, why_no_namespaces

pytestmark = [pytest.mark.slow, pytest.mark.faults]
TRIALS = ("--max-epochs", "3", "--confirm-seeds", "1", "--cpus-per-trial", "1", "--trials", "3")
WHY_NOT = why_no_namespaces()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Command]]:
    """Three machines; the second and the third have neither our code, nor data, nor weights."""
    command = Command(tmp_path_factory.mktemp("shared"), TRIALS)
    assert command.words  # makes the data
    (command.folder / "private").mkdir()
    hidden = [command.folder / "films.tsv", command.folder / "private", ROOT / "tune_sentiment"]
    hidden.append(Path(os.environ["TUNE_SENTIMENT_CACHE"]))
    own = tmp_path_factory.mktemp("m")
    kind = Processes if WHY_NOT else Namespaces
    made = kind(own, command.surroundings(SLOW), hidden)
    try:
        made.open(2)
        command.environment = made.known
        command.arguments = (*TRIALS, "--address", made.address)
        command.prefix = tuple(made.words_of(1))
        yield made, command
    finally:
        made.close()


@pytest.mark.skipif(WHY_NOT is not None, reason=f"{WHY_NOT}: nodes are processes, on one disk")
def test_a_results_folder_that_a_node_does_not_see_is_refused_before_the_first_trial(
    machines: tuple[Cluster, Command],
) -> None:
    made, command = machines
    private = command.folder / "private"
    words = (*command.arguments, "--results", str(private / "results"))
    refused = Command(command.folder, words, command.environment, prefix=command.prefix)
    done = refused.run()
    assert done.returncode == 3, done.stderr
    for number in (2, 3):
        assert f"node {made.address_of(number)} ({made.name}-{number})" in done.stderr
    assert "does not share the results folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(private.rglob("*.json*"))
    assert not list(private.rglob(".nodes-*"))


def test_a_study_goes_on_when_a_machine_is_cut_off_and_loses_and_repeats_nothing(
    machines: tuple[Cluster, Command],
) -> None:
    made, command = machines
    with command.started(SLOW) as process:
        wait_until(lambda: process.poll() is not None or command.evaluations() > 1)
        made.cut(2)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    command.assert_whole(3)
    records = command.study.trials()
    assert {record["status"] for record in records} <= {"finished", "pruned"}
    keys = [key for key, _ in command.starts()]
    again = [(key, step) for i, (key, step) in enumerate(command.starts()) if key in keys[:i]]
    assert len(again) < 2  # none, where what is cut off has saved its last step
    assert "lost its worker and goes on" in err
    assert command.study.test_openings() == 1
    if isinstance(made, Namespaces):
        assert {record["host"] for record in records} <= {f"{made.name}-2", f"{made.name}-3"}
        for number in (2, 3):  # each was brought the weights, once
            [weights] = (made.folder / f"cache-{number}").glob("model-*")
            assert (weights / "model.safetensors").exists()
