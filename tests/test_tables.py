from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.classes import confusion, per_class
from analysis.load import LoadedStudy, by_comparison, load_studies
from analysis.tables import comparison, markdown
from tests.test_ledger import record
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.records import flat


def description(method: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": method,
        "method": method,
        "dataset": "demo",
        "model": "tiny",
        "metric": "val_accuracy",
        "classes": ["negative", "positive"],
        "mode": "max",
        "seed": 42,
        "plan": {} if method == "svm" else {"max_epochs": 3, "precision": "fp32"},
        "space": {"fixed": {}},
        "comparison": "c",
        "comparison_of": {"train_samples": None},
        "splits": {"train": {"rows": 1_234}, "test": {"rows": 200}},
        **changes,
    }


def trial(number: int, accuracy: float | None, **changes: Any) -> dict[str, Any]:
    counts = {"num_trainable_params": 250, "num_total_params": 100_000}
    times = {"train_seconds": 20.0, "eval_seconds": 2.5}
    return flat(record(number, val_accuracy=accuracy, **{**counts, **times, **changes}), {})


def confirmed(key: str, scores: list[float | None]) -> list[dict[str, Any]]:
    return [
        {
            **trial(i, 0.8, seed=43 + i),
            "key": f"{key}-{43 + i}",
            "trial_key": key,
            "test_accuracy": score,
        }
        for i, score in enumerate(scores)
    ]


def study(
    method: str, trials: list[dict[str, Any]], scores: list[float | None], **changes: Any
) -> LoadedStudy:
    made = LoadedStudy(description(method, **changes), trials, [], 1, Path(f"/r/{method}"))
    key = made.winner["key"] if made.winner else ""
    return LoadedStudy(made.description, trials, confirmed(key, scores), 1, made.path)


SVM = study("svm", [trial(0, 0.70), trial(1, 0.725)], [0.71])
LORA = study(
    "lora",
    [trial(0, 0.8), trial(1, 0.85), trial(2, 0.6, status="pruned"), trial(3, None, status="oom")],
    [0.80, 0.82, 0.84],
)


def row(studies: list[LoadedStudy], method: str) -> dict[str, str]:
    table = comparison(studies)
    return dict(table[table["method"] == method].iloc[0])


def test_a_row_says_what_the_records_say() -> None:
    assert row([LORA, SVM], "lora") == {
        "method": "lora",
        "validation accuracy (selected, optimistic)": "85.0",
        "test accuracy": "82.0 ± 2.0 (n=3)",
        "difference to svm": "+11.0",
        "trainable parameters": "250 (0.25 %)",
        "trials": "4: 2 finished, 1 pruned, 1 oom",
        "search seconds": "90",
    }


def test_a_small_test_split_is_named() -> None:
    small = {"train": {"rows": 50}, "test": {"rows": 12}}
    text = markdown([study("lora", [trial(0, 0.8)], [0.8], splits=small)])
    assert "Only 12 test texts: one text is 8.3 points." in text
    assert "Only" not in markdown([LORA])


def test_the_baseline_comes_first_and_is_deterministic() -> None:
    table = comparison([LORA, SVM])
    assert list(table["method"]) == ["svm", "lora"]
    assert row([LORA, SVM], "svm")["test accuracy"] == "71.0 (deterministic)"
    assert row([LORA, SVM], "svm")["difference to svm"] == "-"


def test_a_single_seed_has_no_spread_and_a_missing_one_is_named() -> None:
    one = study("lora", [trial(0, 0.8)], [0.8])
    assert row([one], "lora")["test accuracy"] == "80.0 (n=1: 1 seed, no spread)"
    two_of_three = study("lora", [trial(0, 0.8)], [0.8, None, 0.9])
    assert row([two_of_three], "lora")["test accuracy"] == "85.0 ± 7.1 (n=2 of 3)"


def test_what_was_not_measured_is_a_dash() -> None:
    failed = study("lora", [trial(0, None, status="failed")], [])
    made = row([failed, SVM], "lora")
    assert made["test accuracy"] == made["difference to svm"] == made["trainable parameters"] == "-"
    assert made["trials"] == "1: 1 failed"


@pytest.mark.parametrize(
    ("trainable", "text"),
    [
        (100_000, "100,000 (100 %)"),
        (250, "250 (0.25 %)"),
        (1, "1 (0.001 %)"),
        (55_000, "55,000 (55 %)"),
    ],
)
def test_the_share_of_trainable_parameters_reads_well(trainable: int, text: str) -> None:
    made = study("lora", [trial(0, 0.8, num_trainable_params=trainable)], [])
    assert row([made], "lora")["trainable parameters"] == text


def test_a_loss_is_not_a_percentage() -> None:
    low = [
        {**trial(0, 0.5, val_loss=0.61)},
        {**trial(1, 0.5, val_loss=0.42)},
    ]
    made = LoadedStudy(
        description("lora", metric="val_loss", mode="min"), low, [], 1, Path("/r/lora")
    )
    assert made.winner is not None
    assert made.winner["number"] == 1
    assert row([made], "lora")["validation loss (selected, optimistic)"] == "0.4200"


def test_two_studies_of_a_method_are_named_by_what_differs() -> None:
    low = study("lora", [trial(0, 0.8)], [], space={"fixed": {"lr": 1e-4}})
    high = study("lora", [trial(0, 0.8)], [], space={"fixed": {"lr": 1e-3}})
    names = list(comparison([low, high, SVM])["method"])
    assert names == ["svm", "lora (lr=0.0001)", "lora (lr=0.001)"]


def test_notes_tell_of_unconverged_solvers_and_a_test_split_opened_twice() -> None:
    trials = [trial(0, 0.7, converged=False), trial(1, 0.6, converged=True)]
    twice = LoadedStudy(description("svm"), trials, [], 2, Path("/r/svm"))
    text = markdown([twice])
    assert "svm: 1 of 2 trials did not converge" in text
    assert "svm: the test split was opened 2 times" in text
    assert "opened" not in markdown([SVM])


def write(root: Path, made: LoadedStudy) -> None:
    folder = StudyFolder(root / made.method)
    folder.write_study(made.description)
    for number, values in enumerate(made.trials):
        from tune_sentiment.durable import write_json

        write_json(folder.path / "trials" / f"{number:05d}-{values['key']}.json", values)
    for run in made.confirmations:
        folder.write_confirmation(run)
    folder.log_test_opening({"key": "k"})


def test_the_command_prints_a_table_for_each_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for made in (SVM, LORA):
        write(tmp_path, made)
    other = study("full", [trial(0, 0.9)], [0.9], comparison="d", dataset="rotten_tomatoes")
    write(tmp_path, other)
    assert {k: len(v) for k, v in by_comparison(load_studies([tmp_path])).items()} == {
        "c": 2,
        "d": 1,
    }
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "### demo · tiny · 1,234 training texts, 200 test texts" in printed
    assert "| 82.0 ± 2.0 (n=3) " in printed
    assert "### rotten_tomatoes" in printed


def test_more_than_two_classes_get_tables_of_their_own(tmp_path: Path) -> None:
    names = ["calm", "joy | fun", "<b>rage</b>"]
    made = study("lora", [trial(0, 0.9)], [0.75, 0.5], classes=names)
    write(tmp_path, made)
    folder = StudyFolder(tmp_path / "lora")
    for run, predicted in zip(made.confirmations, ([0, 1, 2, 2], [0, 1, 1, 0]), strict=True):
        columns = {"label": [0, 1, 2, 1], "predicted": predicted}
        path = folder.predictions_file(run["key"], "test")
        pd.DataFrame(columns).to_parquet(path)
    [loaded] = load_studies([tmp_path])
    found = per_class(loaded).set_index("class")
    assert dict(found.loc["joy | fun"]) == {
        "precision": "66.7",  # said 3 times, twice rightly
        "recall": "50.0",  # 2 of the 4 over both runs
        "F1": "57.1",
        "test texts": "2",
    }
    counts = confusion(loaded).drop(columns="true class").to_numpy().tolist()
    assert counts == [[2, 0, 0], [1, 2, 1], [0, 1, 1]]
    text = markdown([loaded])
    assert "joy \\| fun" in text
    assert "<b>" not in text
    assert "by class" not in markdown([LORA])


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no study.json" in capsys.readouterr().err
