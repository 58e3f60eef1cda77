"""A real search that begins with what another one found, and goes on when that is gone."""

import shutil
from pathlib import Path

import pytest

from analysis.load import load_study
from tests.test_search_run import TINY, run
from tune_sentiment.ledger import StudyFolder

pytestmark = pytest.mark.slow
SVM = ["--method", "svm", *TINY, "--trials", "3", "--confirm-seeds", "1"]


def studies(results: Path) -> list[StudyFolder]:
    return [StudyFolder(path.parent) for path in sorted(results.glob("*/study.json"))]


def test_a_second_study_begins_with_the_first_one_s_winner_and_stays_itself(tmp_path: Path) -> None:
    done = run(tmp_path, *SVM, "--train-samples", "300", "--fix", "pooling=mean")
    assert done.returncode == 0, done.stderr
    [first] = studies(tmp_path)
    winner = load_study(first.path).winner
    assert winner is not None
    warm = [*SVM, "--warm-start", str(tmp_path)]
    done = run(tmp_path, *warm)
    assert done.returncode == 0, done.stderr
    assert f"(won on demo with tiny: {first.path.name})" in done.stderr
    assert f"its search began with earlier winners, of {first.path.name}" in done.stdout
    [second] = [study for study in studies(tmp_path) if study.path.name != first.path.name]
    records = second.trials()
    assert [record["origin"] for record in records[:2]] == ["prior", "start"]
    assert {name: records[0][name] for name in ("C", "pooling")} == {
        name: winner[name] for name in ("C", "pooling")
    }
    shutil.rmtree(first.path)
    done = run(tmp_path, *warm)
    assert done.returncode == 0, done.stderr
    assert "every study is complete" in done.stderr
    assert [study.path.name for study in studies(tmp_path)] == [second.path.name]
