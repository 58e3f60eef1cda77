"""A grid of studies, for real: two cannot start, the data of two change midway, the rest end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from run_search import plan
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import study_lock
from tune_sentiment.options import build_parser
from tune_sentiment.sources import labels

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
HANGING = 600  # seconds: several times what the command takes
NAMES = ("cafes", "trains", "moods")


def write(path: Path, about: str) -> None:
    words = ("a warm and lovely", "a cold and dull")
    rows = [f"{i % 2}\t{words[i % 2]} place, {about} number {i}" for i in range(90)]
    path.write_text("\n".join(["label\ttext", *rows]) + "\n")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, StudyFolder], str, str, int]:
    """The studies by name, what was printed, what was said, and the exit code."""
    root = tmp_path_factory.mktemp("grid")
    for name in NAMES:
        write(root / f"{name}.tsv", name)
    files = ",".join(str(root / f"{name}.tsv") for name in NAMES)
    words = ["--method", "svm,full", "--dataset", files, "--model", "tiny", "--trials", "3"]
    words += ["--max-epochs", "2", "--confirm-seeds", "1", "--gpus-per-trial", "0"]
    words += ["--price-per-hour", "2", "--results", str(root / "results")]
    studies, _, results = plan(build_parser().parse_args(words))
    folders = {name: StudyFolder(results / id) for id, name in labels(studies).items()}
    rubbish = folders["moods svm"].path / "trials" / "00000-k0.json"
    rubbish.parent.mkdir(parents=True)
    rubbish.write_text("{")
    with study_lock(folders["moods full"].path):
        running = subprocess.Popen(
            [sys.executable, "run_search.py", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        try:
            deadline = time.monotonic() + HANGING
            while not folders["trains full"].trials() and running.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            write(root / "trains.tsv", "another")
            out, err = running.communicate(timeout=HANGING)
        finally:
            running.kill()
    return folders, out, err, running.returncode


def test_what_can_end_ends_and_what_cannot_is_named(
    grid: tuple[dict[str, StudyFolder], str, str, int],
) -> None:
    folders, out, err, code = grid
    assert code == 1
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    assert sum("cannot be read" in line for line in errors) == 1
    assert sum("is being run by process" in line for line in errors) == 1
    assert sum("trains" in line and "changed" in line for line in errors) == 2
    for name in ("cafes svm", "cafes full"):
        assert len(folders[name].trials()) == 3
        assert folders[name].test_openings() == 1
        assert (folders[name].winner / "README.md").exists()
    for name in ("trains svm", "trains full"):
        assert len(folders[name].trials()) == 3
        assert not folders[name].winner.exists()
    assert (folders["moods svm"].path / "trials" / "00000-k0.json").read_text() == "{"
    assert out.count("### cafes · tiny") == 1
    assert out.count("### trains · tiny") == 1


def test_it_ends_with_one_report(grid: tuple[dict[str, StudyFolder], str, str, int]) -> None:
    _, out, err, _ = grid
    assert out.count("\nNext: ") == 1
    assert out.index("### cafes") < out.index("### trains") < out.index("### Test accuracy")
    assert "adds a row to each table" in out
    assert "cafes svm [3/3] trial" in err
    assert "trains full [3/3] trial" in err
    assert "all 4 studies" in err


def test_forecasts_stand_beside_what_it_took(
    grid: tuple[dict[str, StudyFolder], str, str, int],
) -> None:
    folders, out, _, _ = grid
    said = json.loads((folders["cafes full"].path / "forecast.json").read_text())
    assert (said["trials"], said["device"], said["price_per_hour"]) == (3, "cpu", 2.0)
    assert said["device_seconds"] > 0
    assert said["expected_evaluations"] <= said["evaluations"] == 2 * (3 + 1)
    assert (folders["cafes svm"].forecast or {})["device_seconds"] is None
    table = out.partition("### What was forecast")[2].splitlines()
    [row] = [line for line in table if "cafes" in line and "| full " in line]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[3:5] == ["3", "3"]
    trained = folders["cafes full"].trials() + folders["cafes full"].confirmations()
    assert cells[6] == str(sum(each["evaluations_run"] for each in trained))
    assert float(cells[7]) == pytest.approx(said["device_seconds"] / 3600, rel=0.01)
    assert float(cells[8]) > 0


def test_the_runs_of_all_studies_are_one(
    grid: tuple[dict[str, StudyFolder], str, str, int],
) -> None:
    folders, *_ = grid
    assert [name for name, folder in folders.items() if (folder.path / "ray").exists()] == [
        "cafes svm"
    ]
