"""Nothing that a ledger names may go missing without a word."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main
from tests.ledgers import trial, write

TRIALS = [trial(i, 0.70 + i / 100) for i in range(12)]  # the best is k11
RUNS = [0.8, 0.82, 0.84]


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a run": (lambda f: (f / "confirm" / "k11-44.json").unlink(), "saw the test split"),
    "a run's score": (
        lambda f: change(f / "confirm" / "k11-44.json", test_accuracy=None),
        "k11-44",
    ),
    "a score in words": (
        lambda f: change(f / "confirm" / "k11-44.json", test_accuracy="abc"),
        "test_accuracy is 'abc'",
    ),
    "a score that is no number": (
        lambda f: change(f / "confirm" / "k11-44.json", test_accuracy=float("nan")),
        "test_accuracy is nan",
    ),
    "a score that its predictions do not have": (
        lambda f: change(f / "confirm" / "k11-44.json", test_accuracy=0.99),
        "its record says 0.9900",
    ),
    "a trial": (lambda f: (f / "trials" / "00003-k3.json").unlink(), "chosen from: k3"),
    "the winner": (
        lambda f: (f / "trials" / "00011-k11.json").write_text("{"),
        "no record of the confirmed trial: k11",
    ),
    "the selection": (lambda f: (f / "selection.json").unlink(), "the winner is worked out again"),
    "a selection's content": (
        lambda f: (f / "selection.json").write_text("[]"),
        "the winner is worked out again",
    ),
    "the openings": (lambda f: (f / "test-openings.jsonl").unlink(), "says nothing of runs"),
    "an opening's content": (
        lambda f: (f / "test-openings.jsonl").write_text("{}\n"),
        "test-openings.jsonl cannot be read",
    ),
    "the texts": (lambda f: (f / "texts.parquet").unlink(), "shared texts cannot be found"),
    "evaluations": (lambda f: (f / "evaluations" / "k5.jsonl").unlink(), "of trials: k5"),
    "the study": (lambda f: (f / "study.json").unlink(), "has trials and no study.json"),
    "a plan": (lambda f: change(f / "study.json", plan={"max_epochs": 3}), "plan has not"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_lost_is_named_by_the_report_and_by_the_check(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "svm", [trial(0, 0.7, params={"C": 1.0})], [0.7])
    write(tmp_path, "lora", TRIALS, RUNS)
    assert main([str(tmp_path), "--check"]) == 0
    harm, told = DAMAGES[damage]
    harm(tmp_path / "lora")
    capsys.readouterr()
    assert main([str(tmp_path), "--check"]) == 1
    assert told in capsys.readouterr().out
    assert main([str(tmp_path), "--table", "comparison"]) == 0
    assert told in capsys.readouterr().err


def test_a_mean_without_a_lost_seed_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "lora", TRIALS, RUNS)
    (tmp_path / "lora" / "confirm" / "k11-44.json").unlink()
    assert main([str(tmp_path)]) == 0
    assert "2 of 3 confirmation runs have a test score; means are over those" in (
        capsys.readouterr().out
    )
    assert "no test scores of runs that saw the test split" in (tmp_path / "report.md").read_text()


def test_a_check_of_no_study_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert main([str(path), "--check"]) == 2
        assert "no study under" in capsys.readouterr().err
