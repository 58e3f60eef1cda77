"""Commands on a store that is not there, refuses or falls silent: one line, soon, and no key."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run_search
from analysis.__main__ import main as analyse
from tests.growing import Growing
from tests.ledgers import trial, write
from tests.store.conftest import Machine, stored
from tests.store.s3_server import KEYS, Road
from tune_sentiment import dashboard, predict, track
from tune_sentiment.lease import Lease
from tune_sentiment.objects import Objects, StorageError
from tune_sentiment.options import build_parser
from tune_sentiment.places import results_folder
from tune_sentiment.uri import SECONDS_VARIABLE

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SOON = 15  # seconds
SVM = ["--method", "svm", "--dataset", "demo", "--model", "tiny", "--trials", "1"]
COMMANDS: dict[str, Callable[[str], int]] = {
    "search": lambda uri: run_search.main([*SVM, "--results", uri]),
    "dry run": lambda uri: run_search.main([*SVM, "--dry-run", "--results", uri]),
    "analysis": lambda uri: analyse([uri]),
    "predict": lambda uri: predict.main([uri, "a film"]),
    "track": lambda uri: track.main([uri, "--track", "tensorboard"]),
    "dashboard": lambda uri: dashboard.main([uri]),
}


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """What a command sets ends with its test: Ray, imported before, would read half of it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def ends(command: str, uri: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The line with which a command ends that cannot start."""
    began = time.monotonic()
    assert COMMANDS[command](uri) == 3
    assert time.monotonic() - began < SOON
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(f"error: {uri}")
    assert not any(key in err for key in KEYS.values())
    return err


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_credentials_end_every_command(
    command: str, uri: str, machine: Machine, road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    with road.ruled(lambda asked: "refused"):
        assert "are the environment's credentials right" in ends(command, uri, capsys)
    assert stored(uri) == set()


def test_keys_that_the_server_does_not_know_are_refused_by_itself(
    uri: str, machine: Machine, road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = {"Content-Type": "text/plain"}
    assert road.straight("POST", "/moto-api/reset-auth", b"0", **plain)[0] == 200
    try:
        assert "refused (403 InvalidAccessKeyId)" in ends("search", uri, capsys)
    finally:
        assert road.straight("POST", "/moto-api/reset-auth", b"inf", **plain)[0] == 200


def test_a_server_that_says_nothing_is_not_waited_for_at_the_start(
    uri: str,
    machine: Machine,
    road: Road,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "100")  # this is for when something is at stake
    with road.ruled(lambda asked: "silent"):
        assert "no answer" in ends("search", uri, capsys)


def test_a_bucket_that_does_not_exist_is_told(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no such bucket" in ends("search", "s3://no-such-bucket/x", capsys)


def test_without_credentials_the_page_that_explains_them_is_named(
    uri: str,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv(SECONDS_VARIABLE, "1")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # as on no cloud's machine
    assert "docs/storage.md" in ends("search", uri, capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["--trials", "0"],
        ["--metric", "val_accurracy"],
        ["--fix", "rank=1"],
        ["--results", "ftp://x/y"],
        ["--results", "s3://key:secret@x/y"],
    ],
)
def test_a_usage_error_asks_the_store_nothing(
    words: list[str], uri: str, machine: Machine, road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    road.asked.clear()
    wrong = [*SVM[:-2], "--results", uri] if "--results" not in words else SVM
    assert run_search.main([*wrong, *words]) == 2
    assert road.asked == []
    assert "secret" not in capsys.readouterr().err


def test_a_dry_run_puts_nothing(
    uri: str, machine: Machine, road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    road.asked.clear()
    assert run_search.main([*SVM, "--dry-run", "--results", uri]) == 0
    assert f"  folder       {uri}/demo-tiny-svm-" in capsys.readouterr().out
    assert {asked.method for asked in road.asked} == {"GET"}


def test_a_study_that_another_command_runs_is_left_alone(
    uri: str, machine: Machine, road: Road, capsys: pytest.CaptureFixture[str]
) -> None:
    [study] = run_search.plan(build_parser().parse_args([*SVM, "--results", uri]))[0]
    Lease(Objects(uri), study.id).take()
    assert run_search.main([*SVM, "--results", uri]) == 3
    assert f"error: study {study.id} is being run by process" in capsys.readouterr().err
    assert stored(uri) == {f"{study.id}/.lease"}


def test_tables_are_written_under_a_lease_and_left_to_who_has_it(
    uri: str, machine: Machine, road: Road
) -> None:
    args = build_parser().parse_args([*SVM, "--results", uri])
    [study], _, root = run_search.plan(args)
    for method in ("svm", "lora"):
        write(root, method, [trial(0, 0.8)], [0.8], comparison=study.comparison)
    Lease(Objects(uri), "lora").take()
    road.asked.clear()
    run_search.show(args, [study], root)
    written = [path.rpartition("/")[2] for path in road.writes("/svm/")]
    assert written[0] == written[-1] == ".lease"
    assert "comparison.md" in written
    assert "lora/comparison.md" not in stored(uri)
    with road.ruled(lambda asked: "refused"), pytest.raises(StorageError):
        run_search.show(args, [study], root)


def test_the_library_that_is_missing_is_named_with_its_extra(
    uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tune_sentiment.uri.find_spec", lambda name: None)
    assert run_search.main([*SVM, "--results", uri]) == 2
    assert "pip install 'tune_sentiment[storage]'" in capsys.readouterr().err


def test_trackers_and_the_dashboard_read_a_uri_and_leave_their_notes_there(
    uri: str, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Growing(results_folder(uri))
    training = study.begin(0)
    study.evaluate(training, 0.7, "finished")
    study.end(training, "finished")
    machine("there")
    assert track.main([uri, "--track", "tensorboard"]) == 0
    assert dashboard.main([uri]) == 0
    assert {"lora/tracking/tensorboard.json", "tracking/optuna-journal.log"} <= stored(uri)
    machine("elsewhere")
    capsys.readouterr()
    assert track.main([uri, "--track", "tensorboard"]) == 0  # and logs nothing a second time
