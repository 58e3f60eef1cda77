"""A study's lease in an object store: who holds it, how long, and by whose clock."""

import json
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from tests.conftest import CHECKOUT
from tests.store.conftest import Machine
from tests.store.leases import expired, lease
from tests.store.s3_server import Asked, Road
from tune_sentiment import lease as module
from tune_sentiment.errors import StartError
from tune_sentiment.lease import NAME, ROUNDING
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import study_lock
from tune_sentiment.objects import Objects, StorageError
from tune_sentiment.places import copy_of, results_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults]
HOLD = (
    "import sys, time; from tune_sentiment.lease import Lease\n"
    "from tune_sentiment.objects import Objects\n"
    "Lease(Objects(sys.argv[1]), 's').take(); print('held', flush=True); time.sleep(60)"
)


def test_a_second_command_is_told_who_runs_the_study_and_until_when(
    uri: str, machine: Machine
) -> None:
    study = StudyFolder(results_folder(uri) / "s")
    with study_lock(study.path):
        study.write_study({"id": "s"})
        machine("there")
        other = results_folder(uri) / "s"
        said = r"study s is being run by process \d+ on .* since .*; its lease holds until 20"
        with pytest.raises(StartError, match=said), study_lock(other):
            pass
        with study_lock(other.with_name("another")):
            pass
    machine("there")
    with study_lock(results_folder(uri) / "s"):  # it was given back
        pass


def test_a_lease_is_renewed_while_its_command_runs(
    uri: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "lease_seconds", lambda: 1.0)
    with study_lock(results_folder(uri) / "s"):
        time.sleep(1.0 + ROUNDING + 1)
        with pytest.raises(StartError, match="is being run"):
            lease(uri).take()
        held = copy_of(results_folder(uri))
        assert held is not None
        [guard] = held.guards.values()
        guard()


def test_a_holder_that_was_killed_on_this_machine_is_known_to_be_dead(
    uri: str, machine: Machine
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, uri], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StartError, match=f"process {holder.pid} on"):
            lease(uri).take()
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
        lease(uri).take()
    finally:
        holder.kill()
        holder.wait(timeout=30)
        holder.stdout.close() if holder.stdout else None


def test_a_renewal_whose_answer_was_lost_is_no_loss(uri: str, machine: Machine, road: Road) -> None:
    held = lease(uri)
    held.take()
    held.renewed_at -= held.seconds  # so that check renews
    with road.ruled(lambda asked: "lost"), pytest.raises(StorageError, match="refused"):
        held.check()
    held.check()
    assert held.loss is None


def test_a_store_that_does_not_answer_for_a_while_ends_no_lease(
    uri: str, machine: Machine, road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    held, ended = lease(uri, 1.5), threading.Event()
    held.take()
    heart = threading.Thread(target=held.beat, args=(ended,))
    with road.ruled(lambda asked: "refused" if NAME in asked.path else None):
        heart.start()
        time.sleep(1.2)
    assert "a lease could not be renewed: s3://" in capsys.readouterr().err
    held.check()
    ended.set()
    heart.join(timeout=30)
    assert held.loss is None


@pytest.mark.parametrize(
    ("about", "is_taken"),
    [
        ({"since": "2099-01-01T00:00:00+00:00", "seconds": -10}, True),  # clocks of others
        ({"since": "1970-01-01T00:00:00+00:00", "seconds": 60}, False),
        ({"process": ["another boot", 1, 1, "1"], "seconds": 60}, False),  # it may well live
        ({"is_free": True, "seconds": 60}, True),
        (None, False),  # not to be read: somebody's, as long as ours would be
    ],
)
def test_what_counts_is_the_stores_clock(
    about: dict[str, Any] | None, is_taken: bool, uri: str, machine: Machine
) -> None:
    objects = Objects(uri)
    objects.put_if(f"s/{NAME}", b"?" if about is None else json.dumps(about).encode(), None)
    made = lease(uri)
    if is_taken:
        made.take()
        made.check()
    else:
        with pytest.raises(StartError, match="is being run"):
            made.take()
    assert {found.name for found in objects.below()} == {f"s/{NAME}"}


def test_a_ledger_that_grew_before_the_lease_was_had_is_brought_down(
    uri: str, machine: Machine, road: Road
) -> None:
    study = StudyFolder(results_folder(uri) / "s")
    study.write_study({"id": "s"})
    path = f"/{uri.removeprefix('s3://')}/s/test-openings.jsonl"
    seen: list[Asked] = []

    def rule(asked: Asked) -> str | None:  # another command's last write
        if asked.path.endswith(NAME) and not seen:
            seen.append(asked)
            assert road.straight("PUT", path, b"{}\n")[0] == 200
        return None

    with road.ruled(rule), study_lock(study.path):
        assert study.test_openings() == 1


def test_a_store_that_knows_no_conditions_is_refused(
    uri: str, machine: Machine, road: Road
) -> None:
    with (
        road.ruled(lambda asked: "unconditional"),
        pytest.raises(StorageError, match="does not honour conditional puts"),
        study_lock(results_folder(uri) / "s"),
    ):
        pass


@pytest.mark.parametrize("ahead", [86_400, -86_400])
def test_a_store_whose_clock_is_another_day_is_as_good(
    ahead: int, uri: str, machine: Machine, road: Road
) -> None:
    with road.ruled(lambda asked: ahead):
        expired(uri)
        lease(uri).take()
        with pytest.raises(StartError, match="is being run"):
            lease(uri).take()
