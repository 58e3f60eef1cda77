"""A study's lease that is lost: of all who want it one has it, and who lost it stops, there."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.store.conftest import Machine, stored
from tests.store.leases import OVER, expired, lease, lost
from tests.store.s3_server import Road
from tune_sentiment import lease as module
from tune_sentiment.errors import StartError
from tune_sentiment.failures import Failures
from tune_sentiment.lease import ROUNDING, Lease
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import study_lock
from tune_sentiment.objects import Objects, StorageError
from tune_sentiment.places import results_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SHORT = 0.5  # seconds: the rounding of the store's times is on top


def test_of_many_that_find_a_lease_run_out_one_takes_it_and_its_holder_stops(
    uri: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, all_have_read, store_time = expired(uri), threading.Barrier(6), Lease._store_time

    def together(self: Lease) -> Any:
        found = store_time(self)
        time.sleep(0.2 * (all_have_read.wait(timeout=30) // 2))  # two by two
        return found

    monkeypatch.setattr(Lease, "_store_time", together)

    def tried(_: int) -> Lease | None:
        new = lease(uri)
        try:
            new.take()
        except StartError:
            return None
        return new

    with ThreadPoolExecutor(6) as pool:
        won = [new for new in pool.map(tried, range(6)) if new is not None]
    assert len(won) == 1
    won[0].check()
    for _ in range(2):
        with lost(r"was taken over by process .* writes no more"):
            old.check()
    won[0].check()


def test_one_that_ran_out_goes_on_until_another_takes_it(uri: str, machine: Machine) -> None:
    old = expired(uri)
    old.check()
    assert old.loss is None
    old.seconds, old.renewed_at = SHORT, 0.0
    old.check()  # which renews it
    with pytest.raises(StartError, match="is being run"):
        lease(uri).take()
    time.sleep(SHORT + ROUNDING + 1)
    lease(uri).take()
    with lost("taken over"):
        old.check()


def test_who_lost_the_lease_writes_nothing_more(
    uri: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "lease_seconds", lambda: OVER)
    monkeypatch.setattr(Lease, "beat", lambda self, ended: None)  # as of a process that stands
    study = StudyFolder(results_folder(uri) / "s")
    objects = Objects(uri)

    def goes_on() -> None:
        with study_lock(study.path):
            study.write_study({"id": "s"})
            new = lease(uri, 60)
            new.take()
            for write in (
                lambda: study.log_test_opening({"key": "a"}),
                lambda: study.drop_checkpoints("k0"),
            ):
                with lost("taken over"):
                    write()
            study.log_test_opening({"key": "a"})

    objects.put_if("s/checkpoints/k0/1.json", b"{}", None)
    with lost("taken over"):
        goes_on()
    assert {found.name for found in objects.below()} == {
        "s/.lease",
        "s/checkpoints/k0/1.json",
        "s/study.json",
    }
    assert study.test_openings() == 0


def test_a_grid_goes_on_without_the_study_whose_lease_it_lost(
    uri: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "lease_seconds", lambda: OVER)
    monkeypatch.setattr(Lease, "beat", lambda self, ended: None)
    said: list[str] = []
    failures, root = Failures(said.append), results_folder(uri)
    studies = {name: StudyFolder(root / name) for name in ("r", "s", "t")}
    with ExitStack() as held:
        for study in studies.values():
            held.enter_context(study_lock(study.path))
        new = lease(uri, 60)  # of the one that is called s
        new.take()
        for name, study in studies.items():
            with failures.of(name):
                study.write_study({"id": name})
    assert list(failures.errors) == ["s"]
    [line] = said
    assert line.startswith("s is left out: the lease of study s was taken over by process")
    kept = {name for name in stored(uri) if name.endswith("study.json")}
    assert kept == {"r/study.json", "t/study.json"}
    new.check()  # it is still its taker's, and the others were given back
    for name, is_free in (("r", True), ("s", False), ("t", True)):
        found = Objects(uri).get(f"{name}/{module.NAME}")
        assert found is not None
        assert json.loads(found[0])["is_free"] is is_free


def test_a_store_that_is_away_is_no_studys_own_failure(
    uri: str, machine: Machine, road: Road
) -> None:
    study, failures = StudyFolder(results_folder(uri) / "s"), Failures(lambda line: None)
    with (
        pytest.raises(StorageError, match="refused"),
        study_lock(study.path),
        road.ruled(lambda asked: "refused"),
        failures.of("s"),
    ):
        study.write_study({"id": "s"})
    assert not failures.errors
