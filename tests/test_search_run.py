"""The main command, for real: Ray, Optuna, ASHA, ledger, confirmation and table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from tune_sentiment.ledger import RECORD_FIELDS, SCHEMA, StudyFolder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
HANGING = 600  # seconds: several times what any of these commands takes
TINY = ["--dataset", "demo", "--model", "tiny"]


def run(results: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "run_search.py", *arguments, "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=False,
        env={**os.environ, **environment},
    )


def study(results: Path, method: str) -> StudyFolder:
    [path] = results.glob(f"*-{method}-*")
    return StudyFolder(path)


SEARCH = ["--method", "svm,lora", *TINY, "--trials", "4", "--max-epochs", "2"]
SEARCH += ["--confirm-seeds", "1"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    done = run(folder, *SEARCH)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


def test_it_ends_with_the_table_the_place_and_the_next_step(results: Path) -> None:
    lines = (results / "stdout.txt").read_text().splitlines()
    header = next(line for line in lines if line.startswith("| method"))
    assert "validation accuracy (selected, optimistic)" in header
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert rows == ["method", "svm", "lora"]
    assert any(line.startswith("Results: ") and str(results) in line for line in lines)
    assert any(line.startswith("Next: ") for line in lines)


def test_progress_is_plain_lines_without_a_terminal_and_says_the_cost(results: Path) -> None:
    text = (results / "stderr.txt").read_text()
    assert "if no trial is stopped early" in text
    assert "[4/4] trial " in text
    assert "\x1b[" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("method", ["svm", "lora"])
def test_each_trial_has_one_record_of_the_whole_schema(results: Path, method: str) -> None:
    folder = study(results, method)
    records = folder.trials()
    assert [record["number"] for record in records] == [0, 1, 2, 3]
    assert len({record["key"] for record in records}) == 4
    for record in records:
        assert set(RECORD_FIELDS) <= set(record)
        assert record["schema"] == SCHEMA
        assert record["study"] == folder.path.name
        assert record["status"] in ("finished", "pruned")
        assert record["evaluations_run"] == len(folder.evaluations(record["key"])[1])
    described = json.loads(folder.study_file.read_text())
    assert set(described["space"]["distributions"]) <= set(records[0])
    assert records[0]["origin"] == "start"
    assert records[0]["lr" if method == "lora" else "C"] == (2e-4 if method == "lora" else 1.0)


def test_the_best_evaluation_is_what_its_line_says(results: Path) -> None:
    folder = study(results, "lora")
    for record in folder.trials():
        lines = folder.evaluations(record["key"])[1]
        best = max(line["val_accuracy"] for line in lines)
        assert record["val_accuracy"] == best
        assert lines[record["best_evaluation"] - 1]["val_accuracy"] == best
    sequences = sorted(s for past in folder.history() for s in past.sequences)
    assert sequences == list(range(1, len(sequences) + 1))


def test_the_test_split_was_opened_once_by_the_winner_with_a_fresh_seed(results: Path) -> None:
    for method in ("svm", "lora"):
        folder = study(results, method)
        assert folder.test_openings() == 1
        [record] = folder.confirmations()
        assert record["seed"] != 42
        assert record["origin"] == "confirm"
        assert record["key"] == f"{record['trial_key']}-{record['seed']}"
        assert record["trial_key"] in {trial["key"] for trial in folder.trials()}
        made = pd.read_parquet(folder.predictions_file(record["key"], "test"))
        assert list(made.columns) == ["index", "label", "predicted", "score", "probabilities"]
        assert record["test_accuracy"] == pytest.approx((made.label == made.predicted).mean())
        assert made.probabilities.isna().all() == (method == "svm")


def test_the_winner_predicts_the_same_in_plain_transformers(results: Path) -> None:
    from transformers import pipeline

    from tune_sentiment.data import DATASETS, load_test

    folder = study(results, "lora")
    classify = pipeline("text-classification", model=str(folder.winner), device=-1)
    texts = load_test(DATASETS["demo"], mirror=None).texts[:50]
    [record] = folder.confirmations()
    made = pd.read_parquet(folder.predictions_file(record["key"], "test"))
    for said, row in zip(classify(texts, top_k=None), made.itertuples(), strict=False):
        scores = {entry["label"]: entry["score"] for entry in said}
        assert scores["positive"] == pytest.approx(row.score, abs=1e-4)
    card = (folder.winner / "README.md").read_text()
    assert "| lora " in card
    assert not list(folder.confirm.glob("*.safetensors"))


def test_the_svms_winner_holds_its_linear_map_and_encoder(results: Path) -> None:
    from safetensors.numpy import load_file
    from transformers import AutoModel

    folder = study(results, "svm")
    assert AutoModel.from_pretrained(folder.winner).config.hidden_size == 32
    assert load_file(folder.winner / "linear.safetensors")["coefficients"].shape == (1, 32)


def test_the_same_command_again_prints_the_table_at_once(results: Path) -> None:
    before = {path: path.read_bytes() for path in results.rglob("trials/*.json")}
    assert before
    started = time.monotonic()
    done = run(results, *SEARCH)
    assert done.returncode == 0
    assert "every study is complete" in done.stderr
    assert "| lora " in done.stdout
    assert time.monotonic() - started < 60
    assert {path: path.read_bytes() for path in results.rglob("trials/*.json")} == before


def test_more_trials_extend_the_study_and_keep_what_is_there(results: Path) -> None:
    folder = study(results, "lora")
    before = {record["number"]: record["key"] for record in folder.trials()}
    extended: Sequence[str] = ["6" if word == "4" else word for word in SEARCH]
    done = run(results, *extended)
    assert done.returncode == 0, done.stderr
    after = {record["number"]: record["key"] for record in folder.trials()}
    assert set(after) == set(range(6))
    assert {number: after[number] for number in before} == before


def test_a_method_alone_brings_the_svm_along_and_divergence_is_counted(tmp_path: Path) -> None:
    pinned = ["--fix", "lr=1e30", "--max-epochs", "1", "--trials", "2", "--confirm-seeds", "0"]
    done = run(tmp_path, "--method", "full", *TINY, *pinned)
    assert done.returncode == 1
    assert "ended without a winner" in done.stderr
    assert "2: 2 diverged" in done.stdout
    assert "| svm " in done.stdout
    assert [r["status"] for r in study(tmp_path, "full").trials()] == ["diverged", "diverged"]
    assert study(tmp_path, "svm").test_openings() == 0


def test_asha_ends_trials_early_and_their_records_say_so(tmp_path: Path) -> None:
    arguments = ["--method", "full", *TINY, "--trials", "6", "--max-epochs", "3"]
    done = run(tmp_path, *arguments, "--concurrency", "1", "--confirm-seeds", "0")
    assert done.returncode == 0, done.stderr
    records = study(tmp_path, "full").trials()
    pruned = [record for record in records if record["status"] == "pruned"]
    assert len(records) == 6
    assert pruned
    assert {record["evaluations_run"] for record in pruned} <= {1, 2}
    finished = [record for record in records if record["status"] == "finished"]
    assert {record["evaluations_run"] for record in finished} == {3}


def test_an_interrupt_ends_with_130_and_leaves_the_test_split_closed(tmp_path: Path) -> None:
    arguments = ["--method", "full", *TINY, "--trials", "2", "--fix", "batch_size=1"]
    process = subprocess.Popen(
        [sys.executable, "run_search.py", *arguments, "--results", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A background shell job passes on that SIGINT is ignored, and Python then ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + HANGING
        while not list(tmp_path.glob("*-full-*/evaluations/*.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGING)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert study(tmp_path, "full").test_openings() == 0


def test_a_time_budget_leaves_trials_open_and_the_same_command_ends_them(tmp_path: Path) -> None:
    arguments = ["--method", "full", *TINY, "--trials", "1", "--confirm-seeds", "0"]
    fixed = ["--fix", "batch_size=1", "--max-epochs", "8", "--concurrency", "1"]
    first = run(tmp_path, *arguments, *fixed, "--time-budget-minutes", "0.12")
    folder = study(tmp_path, "full")
    [begun] = folder.history()
    assert (folder.trials(), begun.status, first.returncode) == ([], None, 1)
    second = run(tmp_path, *arguments, *fixed)
    assert second.returncode == 0, second.stderr
    [record] = folder.trials()
    assert (record["key"], record["status"]) == (begun.proposal.key, "finished")
    assert record["evaluations_run"] == 8


def test_more_gpus_than_there_are_end_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, *SEARCH, "--gpus-per-trial", "64")
    assert done.returncode == 3
    assert "64 GPUs asked for a trial" in done.stderr
    assert done.stderr.count("\n") <= 3
