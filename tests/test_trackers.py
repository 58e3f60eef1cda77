"""Every tracker for real and offline: logged by its own library, and read back."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.growing import Growing
from tests.read_back import comet_archives, events, items, mlflow_runs, wandb_runs
from tune_sentiment.followers import environment
from tune_sentiment.proposal import digest
from tune_sentiment.trackers import TRACKERS

pytestmark = pytest.mark.slow
CANARY = "0123456789abcdef" * 2 + "deadbeef"
THEIRS = ("WANDB_", "COMET_", "MLFLOW_")
KEYS = {"WANDB_API_KEY": CANARY, "COMET_API_KEY": CANARY}
OFFLINE = {"WANDB_MODE": "offline", "COMET_START_ONLINE": "0"}
TABLE = "| method | test accuracy |\n|---|---|\n| lora | 80.0 |\n"
STEPS = {"trial 0": [0.5, 0.6, 0.7], "trial 1": [0.4], "confirm 0 seed 43": [0.65]}
STATUS = {"trial 0": "finished", "trial 1": "diverged", "confirm 0 seed 43": "finished"}


def track(home: Path, folder: Path, *arguments: str, **variables: str) -> str:
    """Run the command as somebody without any account; returns what it said."""
    kept = {n: v for n, v in environment().items() if not n.startswith(THEIRS)}
    done = subprocess.run(
        [sys.executable, "-m", "tune_sentiment.track", str(folder), *arguments],
        env={**kept, "HOME": str(home), "NETRC": str(home / "netrc"), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was cut between two evaluations, went on, and was logged once more for nothing.

    Each time by all trackers: twice without an account, then with keys that must stay unknown.
    """
    root, home = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("home")
    everything = ["--track", ",".join(TRACKERS), "--track-project", "films"]
    study = Growing(root)
    first, second = study.begin(0), study.begin(1)
    for accuracy in STEPS["trial 0"][:2]:
        study.evaluate(first, accuracy)
    study.evaluate(second, STEPS["trial 1"][0])
    study.evaluate(second, 0.0, "diverged")
    study.end(second, "diverged")
    said = track(home, root, *everything)
    study.evaluate(first, STEPS["trial 0"][2], "finished")
    study.end(first, "finished")
    run = study.confirm(0)
    study.evaluate(run, STEPS["confirm 0 seed 43"][0], "finished")
    study.end(run, "finished", test_accuracy=0.8)
    study.folder.write_comparison(TABLE)
    said += track(home, root, *everything)
    before = sorted((root / "tracking").rglob("*"))
    said += track(home, root, *everything, **KEYS, **OFFLINE)
    new = set((root / "tracking").rglob("*")) - set(before)
    assert {path for path in new if path.suffix in (".wandb", ".zip") or "events" in path.name} == (
        set()
    )
    (root / "said.txt").write_text(said)
    return root


def our_id(name: str) -> str:
    keys = {"trial 0": "k0", "trial 1": "k1", "confirm 0 seed 43": "k0-43"}
    return digest({"study": "lora", "key": keys[name]}, 32)


STUDY_ID = digest({"study": "lora"}, 32)


def test_nothing_is_said_where_everything_was_logged(results: Path) -> None:
    assert (results / "said.txt").read_text() == ""


def test_no_process_is_left(results: Path) -> None:
    left = [process.info for process in psutil.process_iter(["cmdline", "environ"])]
    ours = [each for each in left if str(results) in str(each)]
    assert ours == []


def test_no_key_stands_in_any_file(results: Path) -> None:
    files = [path for path in results.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    for path in results.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert all(CANARY.encode() not in archive.read(name) for name in archive.namelist())


@pytest.mark.parametrize("name", STEPS)
def test_wandb_has_each_training_once(results: Path, name: str) -> None:
    parts = wandb_runs(results, our_id(name))
    assert len(parts) == (2 if name == "trial 0" else 1)  # the cut
    records = [record for part in parts for record in part]
    runs = [record.run for record in records if record.HasField("run")]
    for run in runs:
        assert (run.project, run.run_group, run.display_name) == ("films", "lora", name)
        assert run.job_type == name.partition(" ")[0]
        assert {"lora", "demo", "tiny"} <= set(run.tags)
        assert items(run.config.update)["lr"] == pytest.approx(2e-4 if name == "trial 1" else 1e-4)
    rows = [items(record.history.item) for record in records if record.HasField("history")]
    found = [(row["_step"], row["val_accuracy"]) for row in rows]
    assert found == list(enumerate(STEPS[name], start=1))
    summary: dict[str, Any] = {}
    for record in records:
        summary |= items(record.summary.update) if record.HasField("summary") else {}
    assert summary["record/status"] == STATUS[name]
    assert summary["record/val_accuracy"] == max(STEPS[name])
    assert summary.get("record/test_accuracy") == (0.8 if name.startswith("confirm") else None)
    exits = [record.exit.exit_code for record in records if record.HasField("exit")]
    assert exits[-1] == (1 if STATUS[name] == "diverged" else 0)


def test_wandb_has_the_table(results: Path) -> None:
    [records] = wandb_runs(results, STUDY_ID)
    [artifact] = [r.request.log_artifact.artifact for r in records if r.HasField("request")] or [
        r.artifact for r in records if r.HasField("artifact")
    ]
    [entry] = artifact.manifest.contents
    assert (entry.path, entry.size) == ("comparison.md", len(TABLE))


@pytest.mark.parametrize("name", STEPS)
def test_comet_has_each_training_once(results: Path, name: str) -> None:
    archives = comet_archives(results, our_id(name))
    assert len(archives) == (2 if name == "trial 0" else 1)
    for about, _, _ in archives:
        assert (about["offline_id"], about["project_name"]) == (our_id(name), "films")
        assert about["resume_strategy"] == "get_or_create"
        assert {"lora", "demo", "tiny"} <= set(about["tags"])
    messages = [message for _, found, _ in archives for message in found]
    metrics = [m["payload"]["metric"] for m in messages if m["type"] == "metric_msg"]
    found = [(m["step"], m["metricValue"]) for m in metrics if m["metricName"] == "val_accuracy"]
    assert found == list(enumerate(STEPS[name], start=1))
    params = [m["payload"]["param"] for m in messages if m["type"] == "parameter_msg"]
    assert {p["paramName"]: p["paramValue"] for p in params}["rank"] == 8
    others = {m["payload"]["key"]: m["payload"]["value"] for m in messages if "other" in m["type"]}
    assert (others["Name"], others["study"]) == (name, "lora")
    assert others["record/status"] == STATUS[name]


def test_comet_has_the_table(results: Path) -> None:
    [(_, _, files)] = comet_archives(results, STUDY_ID)
    assert files == [TABLE.encode()]


@pytest.fixture(scope="module")
def mlflow_client(results: Path) -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{results / 'tracking' / 'mlflow.db'}")


def test_mlflow_has_each_training_once_below_its_study(mlflow_client: Any) -> None:
    runs = mlflow_runs(mlflow_client)
    assert set(runs) == {"lora", *STEPS}
    parent = runs.pop("lora")
    for name, run in runs.items():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["method"] == "lora"
        assert run.data.params["rank"] == "8"
        history = mlflow_client.get_metric_history(run.info.run_id, "val_accuracy")
        assert [(m.step, m.value) for m in history] == list(enumerate(STEPS[name], start=1))
        assert run.data.tags["record/status"] == STATUS[name]
        assert run.data.metrics["record/val_accuracy"] == max(STEPS[name])
        expected = "FAILED" if STATUS[name] == "diverged" else "FINISHED"
        assert run.info.status == expected
    assert runs["confirm 0 seed 43"].data.metrics["record/test_accuracy"] == 0.8


def test_mlflow_has_the_table(mlflow_client: Any, results: Path) -> None:
    parent = mlflow_runs(mlflow_client)["lora"]
    [artifact] = mlflow_client.list_artifacts(parent.info.run_id)
    assert artifact.path == "comparison.md"
    [file] = (results / "tracking" / "mlflow-artifacts").rglob("comparison.md")
    assert file.read_text() == TABLE


@pytest.mark.parametrize("name", STEPS)
def test_tensorboard_has_each_training_once(results: Path, name: str) -> None:
    key = "k1" if name == "trial 1" else "k0"
    made = events(results, f"{name} {key}".replace(" ", "-"))
    scalars = [(event.step, event.value) for event in made.Scalars("val_accuracy")]
    assert scalars == [(i, pytest.approx(v)) for i, v in enumerate(STEPS[name], start=1)]
    [best] = made.Scalars("record/val_accuracy")
    assert (best.step, best.value) == (len(STEPS[name]), pytest.approx(max(STEPS[name])))
    [words] = made.Tensors("record/words/text_summary")
    assert f"| status | {STATUS[name]} |" in words.tensor_proto.string_val[0].decode()
    about = made.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"rank" in about
    assert "_hparams_/experiment" not in made.summary_metadata  # else other studies' go unseen


def test_tensorboard_has_the_table(results: Path) -> None:
    [text] = events(results, "study").Tensors("comparison/text_summary")
    assert text.tensor_proto.string_val[0].decode() == TABLE


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_what_can_be_asked_logs_nothing_twice_even_when_the_notes_are_lost(
    name: str, results: Path, tmp_path: Path, mlflow_client: Any
) -> None:
    notes = results / "lora" / "tracking" / f"{name}.json"
    kept = notes.read_text()
    notes.unlink()
    track(tmp_path, results, "--track", name, "--track-project", "films")
    assert json.loads(notes.read_text()) == json.loads(kept)
    if name == "mlflow":
        test_mlflow_has_each_training_once_below_its_study(mlflow_client)
    else:
        for each in STEPS:
            test_tensorboard_has_each_training_once(results, each)
        test_tensorboard_has_the_table(results)
