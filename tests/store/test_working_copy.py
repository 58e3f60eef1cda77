"""A ledger in an object store, against a real S3 server: what was acknowledged is there for all."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analysis.__main__ import main as analyse
from tests.growing import Growing
from tests.ledgers import trial, write
from tests.store.conftest import Machine, stored
from tests.store.s3_server import Asked, Road
from tests.test_full_disk import kept, search
from tune_sentiment import places
from tune_sentiment.confirm_plan import is_lost, known_runs
from tune_sentiment.durable import replace_folder, write_bytes
from tune_sentiment.errors import Escape
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.objects import Objects, StorageError
from tune_sentiment.places import results_folder, winner_at

pytestmark = pytest.mark.slow


def local(root: Path) -> set[str]:
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(".")}


def test_of_many_conditional_puts_one_wins(uri: str, machine: Machine) -> None:
    objects = Objects(uri)
    for turn in range(20):
        before = objects.get("x")
        version = before[1] if before else None
        with ThreadPoolExecutor(6) as pool:
            tried = [
                pool.submit(objects.put_if, "x", f"{turn} {n}".encode(), version) for n in range(6)
            ]
        won = [n for n, each in enumerate(tried) if each.result() is not None]
        assert len(won) == 1
        now = objects.get("x")
        assert now is not None
        assert now[0] == f"{turn} {won[0]}".encode()
    assert objects.put_if("gone", b"", version) is None


def test_each_write_of_the_ledger_is_one_put_before_the_file_is_here(
    uri: str, machine: Machine, road: Road
) -> None:
    study = StudyFolder(results_folder(uri) / "s")
    road.asked.clear()
    search(study)
    written = road.writes()
    assert len(written) == len([a for a in road.asked if a.method not in ("GET", "HEAD")]) >= 10
    assert stored(uri) == local(study.path.parent)
    with road.ruled(lambda asked: "refused"), pytest.raises(StorageError):
        study.log_test_opening({"key": "a"})
    assert study.test_openings() == 0
    assert not list(study.path.rglob("*.tmp"))


def test_another_machine_reads_the_same_and_believes_no_file_that_the_store_lacks(
    uri: str, machine: Machine
) -> None:
    study = StudyFolder(results_folder(uri) / "s")
    search(study)
    study.log_test_opening({"key": "a"})
    machine("there")
    other = StudyFolder(results_folder(uri) / "s")
    assert other.path != study.path
    assert (kept(other), other.history()) == (kept(study), study.history())
    [first, *_] = sorted((other.path / "trials").iterdir())
    first.unlink()
    (other.path / "trials" / "00009-z.json").write_text("{}")
    (other.path / "test-openings.jsonl").write_text("{}\n{}\n{}\n")
    for folder in ("ray", "tracking"):
        (other.path / folder).mkdir()
        (other.path / folder / "cache").touch()
    machine("there")
    other = StudyFolder(results_folder(uri) / "s")
    assert (kept(other), other.test_openings()) == (kept(study), 1)
    assert {"s/ray/cache", "s/tracking/cache"} <= local(other.path.parent)


def test_what_is_here_as_the_store_has_it_does_not_come_down_again(
    uri: str, machine: Machine, road: Road
) -> None:
    study = StudyFolder(results_folder(uri) / "s")
    search(study)
    machine("here")
    road.asked.clear()
    results_folder(uri)
    assert [a.method for a in road.asked] == ["GET"]  # the list
    [first, *_] = sorted((study.path / "trials").iterdir())
    first.write_text(first.read_text().replace("finished", "FINISHED"))
    machine("here")
    results_folder(uri)
    assert "FINISHED" not in first.read_text()


def test_what_is_deleted_is_deleted_in_the_store(uri: str, machine: Machine) -> None:
    study = StudyFolder(results_folder(uri) / "s")
    search(study)
    for name in ("checkpoints/a/1.json", "checkpoints/a/1.safetensors", "checkpoints/z/1.json"):
        places.copy_of(study.path).objects.put(f"s/{name}", Path(__file__))
    for name in ("k-1.safetensors", "k-1.json"):
        places.copy_of(study.path).objects.put(f"s/confirm/{name}", Path(__file__))
    study.tidy()  # a has ended; of these nothing is here
    study.drop_tensors()
    others = {name for name in stored(uri) if "checkpoints" in name or "confirm" in name}
    assert others == {"s/checkpoints/z/1.json", "s/confirm/k-1.json"}


def test_whether_a_run_is_lost_is_asked_and_nothing_comes_down(
    uri: str, machine: Machine, road: Road
) -> None:
    study = Growing(results_folder(uri))
    for number in range(2):
        training = study.confirm(number)
        study.evaluate(training, 0.7, "finished")
        study.end(training, "finished", test_accuracy=None)
    write_bytes(study.folder.tensors_file("k0-43"), b"tensors")
    machine("there")
    folder = StudyFolder(results_folder(uri) / "lora")
    road.asked.clear()
    runs = known_runs(folder)
    assert {key: is_lost(run, folder) for key, run in runs.items()} == {
        "k0-43": False,
        "k1-43": True,
    }
    assert not folder.tensors_file("k0-43").exists()
    assert road.asked
    assert not any(asked.path.endswith(".safetensors") for asked in road.asked)


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["refused", "lost"])
def test_a_store_that_fails_at_any_put_costs_nothing_that_it_acknowledged(
    fate: str, uri: str, machine: Machine, road: Road
) -> None:
    whole = StudyFolder(results_folder(f"{uri}/whole") / "s")
    road.asked.clear()
    search(whole)
    lines = {(made.proposal.key, len(made.lines)) for made in whole.trainings()}
    puts = len(road.writes())
    assert puts >= 10
    for n in range(1, puts + 1):
        machine(f"{n}")
        study = StudyFolder(results_folder(f"{uri}/{n}") / "s")
        count = 0

        def rule(asked: Asked, n: int = n) -> str | None:
            nonlocal count
            count += asked.method == "PUT"
            if count < n:
                return None
            return fate if count == n and asked.method == "PUT" else "refused"

        with road.ruled(rule), pytest.raises(Escape) as caught:
            search(study)
        assert isinstance(caught.value.__cause__, StorageError)
        here = kept(study)
        machine(f"{n} elsewhere")
        study = StudyFolder(results_folder(f"{uri}/{n}") / "s")
        there = kept(study)
        assert here == there[: len(here)] == kept(whole)[: len(here)]
        search(study)
        assert kept(study) == kept(whole)
        assert {(m.proposal.key, len(m.lines)) for m in study.trainings()} == lines


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*")}


@pytest.mark.faults
def test_a_winner_whose_replacement_fails_at_any_request_is_whole_or_none(
    uri: str, machine: Machine, road: Road
) -> None:
    whole = [
        {"winner.json": f"{n}", "model.safetensors": f"m{n}", "config.json": f"c{n}"}
        for n in range(2)
    ]
    whole[1]["tokenizer.json"] = whole[0].pop("config.json")

    def put(n: int) -> None:
        folder = results_folder(uri) / "s" / "winner"
        unfinished = folder.with_name(".winner.tmp")
        unfinished.mkdir(parents=True, exist_ok=True)
        for name, text in whole[n].items():
            (unfinished / name).write_text(text)
        replace_folder(folder, unfinished, last="winner.json")

    seen = set()
    for n in range(1, 20):
        machine(f"{n} before")
        put(0)
        count = 0

        def rule(asked: Asked, n: int = n) -> str | None:
            nonlocal count
            count += asked.method != "GET"
            return "refused" if asked.method != "GET" and count >= n else None

        with road.ruled(rule):
            try:
                put(1)
                has_failed = False
            except StorageError:
                has_failed = True
        machine(f"{n} after")
        found = files_of(winner_at(f"{uri}/s") / "winner")
        assert "winner.json" not in found or found in whole
        seen.add(found.get("winner.json"))
        if not has_failed:
            break
    assert seen == {"0", None, "1"}


def test_a_command_that_reads_gets_a_copy_of_its_own_while_another_works(
    uri: str, machine: Machine, tmp_path: Path
) -> None:
    first = results_folder(uri)
    search(StudyFolder(first / "s"))
    assert results_folder(uri) == first
    held = places.copy_of(first)
    places.MIRRORS.remove(held)  # as for another process: the lock stays
    second = results_folder(uri)
    assert second != first
    assert second.name == first.name
    assert kept(StudyFolder(second / "s")) == kept(StudyFolder(first / "s"))
    os.close(held.lock)


def test_the_analysis_says_the_same_of_a_uri_and_leaves_its_report_there(
    uri: str, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for root in (tmp_path / "plain", results_folder(uri)):
        write(root, "svm", [trial(0, 0.7)], [0.7])
    said = []
    for written in (str(tmp_path / "plain"), uri):
        assert analyse([written, "--table", "comparison"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert analyse([uri]) == 0
    assert (
        capsys.readouterr().out.partition("\nReport: ")[2] == f"{uri}/report.md {uri}/report.html\n"
    )
    assert {"report.md", "report.html", "summary.md", "figures/1-pareto.png"} <= stored(uri)
    machine("there")
    assert analyse([f"{uri}/svm", "--check"]) == 0
    assert capsys.readouterr().out == "1 studies, 0 problems\n"
    assert analyse([f"{uri}/nothing"]) == 2
    assert capsys.readouterr().err == f"error: no study under {uri}/nothing\n"
