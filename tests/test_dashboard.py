"""The journal that optuna-dashboard opens."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.growing import Growing
from tune_sentiment.dashboard import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    study = Growing(tmp_path / "results")
    endings = ["finished", "pruned", "diverged", "oom", "failed"]
    for number, status in enumerate([*endings, None]):
        trial = study.begin(number)
        study.evaluate(trial, 0.5 + number / 100)
        study.evaluate(trial, 0.6 + number / 100, "finished" if status == "finished" else "running")
        if status is not None:
            study.end(trial, status)
    for seed, score in ((43, 0.7), (44, 0.8), (45, None)):
        run = study.confirm(0, seed)
        study.evaluate(run, 0.65, "finished")
        study.end(run, "finished", test_accuracy=score)
    Growing(tmp_path / "results", "empty")
    return tmp_path / "results"


def loaded(results: Path, name: str = "lora") -> optuna.Study:
    backend = JournalFileBackend(str(results / "tracking" / "optuna-journal.log"))
    return optuna.load_study(study_name=name, storage=JournalStorage(backend))


def test_the_journal_tells_each_ending_as_the_sampler_is_told(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(results)]) == 0
    journal = results / "tracking" / "optuna-journal.log"
    assert capsys.readouterr().out == f"Dashboard: optuna-dashboard {journal} --host 127.0.0.1\n"
    study = loaded(results)
    assert study.user_attrs["dataset"] == "demo"
    assert study.metric_names == ["val_accuracy"]
    states = [TrialState.COMPLETE, *3 * [TrialState.PRUNED], TrialState.FAIL]
    assert [trial.state for trial in study.trials] == states
    steps = [trial.intermediate_values for trial in study.trials]
    assert steps == [{1: 0.5, 2: 0.6}, {1: 0.51, 2: 0.61}, {}, {}, {}]
    assert [trial.value for trial in study.trials] == [0.6, 0.61, None, None, None]
    first = study.trials[0]
    assert first.params == {"lr": 1e-4, "rank": 8}
    assert first.distributions["rank"] == optuna.distributions.CategoricalDistribution((4, 8, 16))
    assert first.user_attrs["test_accuracy"] == [0.7, 0.8]
    assert (first.user_attrs["key"], first.user_attrs["status"]) == ("k0", "finished")
    assert first.datetime_start is not None
    assert first.datetime_start.astimezone().isoformat() == "2026-01-02T03:04:05+00:00"
    assert loaded(results, "empty").trials == []


def test_the_journal_is_written_anew_each_time(results: Path) -> None:
    assert main([str(results)]) == main([str(results / "lora")]) == 0
    assert len(loaded(results).trials) == 5
    with pytest.raises(KeyError):
        loaded(results, "empty")
    assert [path.name for path in (results / "tracking").iterdir()] == ["optuna-journal.log"]


def test_a_folder_without_a_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: no study under {tmp_path}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_dashboard_opens_it(results: Path) -> None:
    main([str(results)])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "optuna-dashboard"
    words = [str(program), str(results / "tracking" / "optuna-journal.log"), "--port", str(port)]
    server = subprocess.Popen(
        [*words, "--host", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=30) as answer:
            return json.load(answer)

    try:
        for _ in range(300):
            try:
                studies = ask("studies")["study_summaries"]
                break
            except OSError:
                time.sleep(0.1)
        found = {study["study_name"]: study["study_id"] for study in studies}
        assert set(found) == {"empty", "lora"}
        detail = ask(f"studies/{found['lora']}?after=0")
        states = ["Complete", "Pruned", "Pruned", "Pruned", "Fail"]
        assert [trial["state"] for trial in detail["trials"]] == states
        assert detail["trials"][0]["values"] == [0.6]
    finally:
        server.terminate()
        server.wait(30)
