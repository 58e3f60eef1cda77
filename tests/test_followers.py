"""What runs beside a search: trackers that work, and trackers that hang, fail or die."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.growing import Growing
from tests.read_back import events
from tune_sentiment.errors import UsageError
from tune_sentiment.followers import MARGIN, SECONDS_VARIABLE, Follower, following, last_seconds

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds, several times what anything here takes


def until(what: str, deadline: float = PATIENCE) -> Iterator[None]:
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
    pytest.fail(f"{what} did not come about in {deadline} s")


@pytest.fixture
def hanging_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An MLflow server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.fixture
def study(tmp_path: Path) -> Growing:
    study = Growing(tmp_path / "results")
    trial = study.begin(0)
    study.evaluate(trial, 0.5, "finished")
    study.end(trial, "finished")
    return study


def steps(study: Growing) -> list[int]:
    made = events(study.folder.path.parent, "trial-0-k0")
    return [event.step for event in made.Scalars("val_accuracy")]


def test_the_time_that_is_left_is_whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "7")
    assert last_seconds() == 7
    for wrong in ("0", "-1", "2.5", "soon"):
        monkeypatch.setenv(SECONDS_VARIABLE, wrong)
        with pytest.raises(UsageError, match=f"got '{wrong}'"):
            last_seconds()


@pytest.mark.slow
def test_evaluations_are_logged_while_the_search_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results" / "lora"
    with following(["tensorboard"], "p", [path]):
        study = Growing(tmp_path / "results")  # it comes later than what follows it
        trial = study.begin(0)
        study.evaluate(trial, 0.5)
        notes = study.folder.tracking_file("tensorboard")
        for _ in until("the first evaluation's note"):
            if notes.exists():
                break
        assert steps(study) == [1]
        study.evaluate(trial, 0.6, "finished")
        study.end(trial, "finished")
    assert steps(study) == [1, 2]
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.usefixtures("hanging_store")
def test_one_that_hangs_ends_in_time_and_hinders_no_other(
    study: Growing, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "6")
    with following(["mlflow", "tensorboard"], "p", [study.folder.path]):
        begun = time.monotonic()
    assert time.monotonic() - begun < 6 + MARGIN
    assert steps(study) == [1]
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("mlflow: not everything was logged; later: ")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    later = shlex.split(line.partition("later: ")[2])
    done = subprocess.run(later, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (study.folder.path.parent / "tracking" / "mlflow.db").exists()


@pytest.mark.slow
def test_one_that_raises_is_told_in_a_line_and_hinders_no_other(
    study: Growing, capfd: pytest.CaptureFixture[str]
) -> None:
    store = study.folder.path.parent / "tracking" / "mlflow.db"
    store.parent.mkdir()
    store.write_text("this is no database " * 100)
    with following(["mlflow", "tensorboard"], "p", [study.folder.path]):
        pass
    assert steps(study) == [1]
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("mlflow: lora was not logged: ")
    assert second.startswith("mlflow: not everything was logged; later: ")


@pytest.mark.slow
def test_one_that_dies_is_told_in_a_line(study: Growing, capfd: pytest.CaptureFixture[str]) -> None:
    follower = Follower("tensorboard", "p", [study.folder.path])
    os.kill(follower.process.pid, signal.SIGKILL)
    follower.process.wait(PATIENCE)
    follower.finish()
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("tensorboard: not everything was logged; later: ")


@pytest.mark.slow
def test_a_search_that_was_interrupted_waits_for_none_and_they_log_the_rest(
    study: Growing,
) -> None:
    before = set(psutil.Process().children())
    with (
        contextlib.suppress(KeyboardInterrupt),
        following(["tensorboard"], "p", [study.folder.path]),
    ):
        [child] = set(psutil.Process().children()) - before
        assert os.getpgid(child.pid) == child.pid  # a Ctrl-C in a terminal is not for it
        begun = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 1
    child.wait(PATIENCE)
    assert steps(study) == [1]


@pytest.mark.slow
def test_a_command_that_was_killed_leaves_nobody_behind(study: Growing) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tune_sentiment.followers import Follower\n"
        "print(Follower('tensorboard', 'p', [Path(sys.argv[1])]).process.pid, flush=True)\n"
        "time.sleep(600)"
    )
    words = [sys.executable, "-c", script, str(study.folder.path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        child = psutil.Process(int(command.stdout.readline()))
        command.kill()
    child.wait(PATIENCE)
    assert steps(study) == [1]


@pytest.mark.slow
@pytest.mark.usefixtures("hanging_store")
def test_a_search_with_trackers_ends_as_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "6")
    words = "run_search.py --method svm --dataset demo --model tiny --trials 2 --gpus-per-trial 0"
    words += " --confirm-seeds 1 --track tensorboard,mlflow --dashboard --results"
    results = tmp_path / "results"

    def search() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *words.split(), str(results)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    done = search()
    assert done.returncode == 0, done.stderr
    assert "mlflow: not everything was logged; later: " in done.stderr
    assert "Traceback" not in done.stderr
    journal = results / "tracking" / "optuna-journal.log"
    assert f"Dashboard: optuna-dashboard {journal} --host 127.0.0.1" in done.stdout
    assert journal.exists()
    [study] = results.glob("demo-*")
    logged = results / "tracking" / "tensorboard" / study.name
    assert len(list(logged.iterdir())) == 2 + 1 + 1  # trials, the run of the winner, the study
    assert "| svm" in (study / "comparison.md").read_text()
    written = sorted(path.name for path in logged.rglob("events.*"))
    again = search()
    assert again.returncode == 0
    assert "every study is complete" in again.stderr
    assert sorted(path.name for path in logged.rglob("events.*")) == written
    left = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert [words for words in left if str(results) in str(words)] == []
