"""The main command, for real: Ray, Optuna, ASHA, ledger, confirmation and table."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tune_sentiment.data import load_test
from tune_sentiment.datasets_table import DATASETS
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.methods import COMPARED, METHODS
from tune_sentiment.predictor import load_winner
from tune_sentiment.records import RECORD_FIELDS, SCHEMA

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


def compared(printed: str) -> list[str]:
    """The rows of the first table."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    names = [line.split("|")[1].strip().removesuffix(" *") for line in lines]
    return names[2 : names.index("method", 1)]


SEARCH = ["--method", "svm,lora", *TINY, "--trials", "4", "--max-epochs", "2"]
SEARCH += ["--confirm-seeds", "1", "--gpus-per-trial", "0"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    done = run(folder, *SEARCH)
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


def test_studies_of_one_command_share_the_runs_of_ray_tune(results: Path) -> None:
    assert (study(results, "svm").path / "ray").is_dir()
    assert not (study(results, "lora").path / "ray").exists()


def test_it_ends_with_the_table_the_place_and_the_next_step(results: Path) -> None:
    lines = (results / "stdout.txt").read_text().splitlines()
    header = next(line for line in lines if line.startswith("| method"))
    assert "validation accuracy (selected, optimistic)" in header
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert [row.removesuffix(" *") for row in rows[:4]] == [
        "method",
        "svm",
        "lora",
        "majority class",
    ]
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
    lines = {training.proposal.key: training.lines for training in folder.trainings()}
    for record in records:
        assert set(RECORD_FIELDS) <= set(record)
        assert record["schema"] == SCHEMA
        assert record["study"] == folder.path.name
        assert record["status"] in ("finished", "pruned")
        assert record["evaluations_run"] == len(lines[record["key"]])
    described = json.loads(folder.study_file.read_text())
    assert set(described["space"]["distributions"]) <= set(records[0])
    assert records[0]["origin"] == "start"
    assert records[0]["lr" if method == "lora" else "C"] == (2e-4 if method == "lora" else 1.0)


def test_the_best_evaluation_is_what_its_line_says(results: Path) -> None:
    folder = study(results, "lora")
    made = {training.proposal.key: training.lines for training in folder.trainings()}
    for record in folder.trials():
        lines = made[record["key"]]
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

    folder = study(results, "lora")
    classify = pipeline("text-classification", model=str(folder.winner), device=-1)
    texts = load_test(DATASETS["demo"], mirror=None, seed=42).texts[:50]
    [record] = folder.confirmations()
    made = pd.read_parquet(folder.predictions_file(record["key"], "test"))
    for said, row in zip(classify(texts, top_k=None), made.itertuples(), strict=False):
        scores = {entry["label"]: entry["score"] for entry in said}
        assert scores["positive"] == pytest.approx(row.score, abs=1e-4)
    card = (folder.winner / "README.md").read_text()
    assert "| lora " in card
    assert not list(folder.confirm.glob("*.safetensors"))


def test_a_winner_that_plain_transformers_cannot_load_is_read_by_our_loader(
    results: Path,
) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = study(results, "svm")
    texts = load_test(DATASETS["demo"], mirror=None, seed=42).texts
    [record] = folder.confirmations()
    made = pd.read_parquet(folder.predictions_file(record["key"], "test"))
    expected = [DATASETS["demo"].classes[i] for i in made.predicted]
    assert load_winner(folder.winner)(texts) == expected
    with pytest.raises((OSError, ValueError)):
        AutoModelForSequenceClassification.from_pretrained(folder.winner)


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


def test_every_method_searches_confirms_and_leaves_a_winner(tmp_path: Path) -> None:
    named = ",".join(["all", *(set(METHODS) - set(COMPARED))])
    arguments = ["--method", named, *TINY, "--trials", "2", "--max-epochs", "2"]
    done = run(tmp_path, *arguments, "--confirm-seeds", "1")
    assert done.returncode == 0, done.stderr
    others = sorted(set(METHODS) - {"svm"})
    assert compared(done.stdout) == ["svm", *others, "majority class"]
    for method in METHODS:
        folder = study(tmp_path, method)
        assert len(folder.trials()) == 2
        assert folder.test_openings() == 1
        assert (folder.winner / "README.md").exists()
        if method in ("svm", "freeze"):
            assert {trial["status"] for trial in folder.trials()} == {"finished"}
    [record] = study(tmp_path, "adapters").confirmations()
    made = pd.read_parquet(study(tmp_path, "adapters").predictions_file(record["key"], "test"))
    texts = load_test(DATASETS["demo"], mirror=None, seed=42).texts
    expected = [DATASETS["demo"].classes[i] for i in made.predicted]
    assert load_winner(study(tmp_path, "adapters").winner)(texts) == expected


def test_a_six_class_tsv_with_words_as_labels_ends_in_tables_by_class(tmp_path: Path) -> None:
    names = ["anger", "calm", "fear", "joy", "love", "sadness"]
    rows = [f"{names[i % 6]}\tthe {names[i % 6]} of day {i} was plain to see" for i in range(360)]
    path = tmp_path / "feelings.tsv"
    path.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")
    arguments = ["--method", "freeze", "--dataset", str(path), "--model", "tiny", "--trials", "2"]
    done = run(tmp_path / "out", *arguments, "--max-epochs", "2", "--confirm-seeds", "1")
    assert done.returncode == 0, done.stderr
    assert "#### freeze, by class (test, 1 run)" in done.stdout
    for name in names:
        assert f"| {name} " in done.stdout
        assert f"said {name}" in done.stdout
    [record] = study(tmp_path / "out", "freeze").confirmations()
    assert record["test_f1"] is None
    assert record["test_macro_f1"] is not None
    svm = study(tmp_path / "out", "svm")
    [baseline] = svm.confirmations()
    made = pd.read_parquet(svm.predictions_file(baseline["key"], "validation"))
    assert (made.label == made.predicted).mean() == pytest.approx(baseline["val_accuracy"])
    assert len(set(made.predicted)) > 2


def test_labels_that_say_nothing_end_at_chance(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    said = [f"{random.choice(['a dull', 'a warm', 'an odd'])} film number {i}" for i in range(2000)]
    rows = [f"{random.integers(2)}\t{text}" for text in said]
    path = tmp_path / "permuted.tsv"
    path.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")
    arguments = ["--method", "freeze", "--dataset", str(path), "--model", "tiny", "--trials", "4"]
    done = run(tmp_path / "out", *arguments, "--max-epochs", "2", "--confirm-seeds", "2")
    assert done.returncode == 0, done.stderr
    for method in ("svm", "freeze"):
        for record in study(tmp_path / "out", method).confirmations():
            if record["test_accuracy"] is not None:  # 200 texts: three standard errors are 0.11
                assert 0.39 < record["test_accuracy"] < 0.61
    assert "no difference shown" in done.stdout
    assert "better than svm" not in done.stdout


def test_the_best_three_are_screened_and_the_best_mean_is_confirmed(tmp_path: Path) -> None:
    arguments = ["--method", "freeze", *TINY, "--trials", "4", "--max-epochs", "2"]
    done = run(tmp_path, *arguments, "--confirm-seeds", "3")
    assert done.returncode == 0, done.stderr
    folder = study(tmp_path, "freeze")
    runs = folder.confirmations()
    best = sorted(folder.trials(), key=lambda t: (-t["val_accuracy"], t["number"]))[:3]
    assert {run["trial_key"] for run in runs} == {trial["key"] for trial in best}
    assert len(runs) == 7
    means = {
        trial["key"]: sum(
            run["val_accuracy"]
            for run in runs
            if run["trial_key"] == trial["key"] and run["seed"] in (43, 44)
        )
        for trial in best
    }
    [winner] = {run["trial_key"] for run in runs if run["test_accuracy"] is not None}
    assert means[winner] == max(means.values())
    assert sum(run["test_accuracy"] is not None for run in runs) == 3
    assert folder.test_openings() == 1
    [measured] = [run for run in runs if run["latency_seconds"] is not None]
    assert measured["sentences_per_second"] > 0
    assert not list(folder.confirm.glob("*.safetensors"))


def test_a_latin_1_csv_with_odd_columns_ends_in_a_table(tmp_path: Path) -> None:
    rows = [
        f"{i},{'ótimo' if i % 2 else 'péssimo'} número {i},{5 if i % 2 else 1}" for i in range(80)
    ]
    path = tmp_path / "avaliações.csv"
    path.write_bytes("\n".join(["id,Comentário,Nota", *rows]).encode("latin-1"))
    arguments = ["--method", "svm", "--dataset", str(path), "--model", "tiny", "--trials", "2"]
    named = ["--text-column", "Comentário", "--label-column", "Nota"]
    refused = run(tmp_path / "out", *arguments, *named)
    assert refused.returncode == 2
    assert "try --encoding cp1252 (Windows) or latin-1" in refused.stderr
    done = run(tmp_path / "out", *arguments, *named, "--encoding", "latin-1")
    assert done.returncode == 0, done.stderr
    described = json.loads(study(tmp_path / "out", "svm").study_file.read_text())
    assert described["classes"] == ["1", "5"]


def test_a_time_budget_leaves_trials_open_and_the_same_command_ends_them(tmp_path: Path) -> None:
    arguments = ["--method", "full", *TINY, "--trials", "1", "--confirm-seeds", "0"]
    fixed = ["--fix", "batch_size=1", "--max-epochs", "8", "--concurrency", "1"]
    first = run(tmp_path, *arguments, *fixed, "--time-budget-minutes", "0.12")
    folder = study(tmp_path, "full")
    begun = folder.history()  # none where the worker was not up in time
    assert (folder.trials(), first.returncode) == ([], 1)
    assert [trial.status for trial in begun] in ([], [None])
    second = run(tmp_path, *arguments, *fixed)
    assert second.returncode == 0, second.stderr
    [record] = folder.trials()
    assert [trial.proposal.key for trial in begun] in ([], [record["key"]])
    assert (record["status"], record["evaluations_run"]) == ("finished", 8)


def test_more_gpus_than_there_are_end_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "--method", "lora", *TINY, "--gpus-per-trial", "64")
    assert done.returncode == 3
    assert "64 GPUs asked for a trial" in done.stderr
    assert done.stderr.count("\n") <= 3
