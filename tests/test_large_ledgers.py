"""The ledger of a long search: what goes on from it, and what checks it, reads no file often."""

from collections import Counter
from pathlib import Path

import pytest
import ray

from analysis.__main__ import main
from analysis.load import load_studies, load_study
from benchmarks import written_ledger
from run_search import plan
from tests.test_course import CPU, NODE
from tune_sentiment.course import Course
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.options import build_parser
from tune_sentiment.proposal import Proposal
from tune_sentiment.supervisor import Supervisor

TRIALS = 120


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a search leaves it that was ended in good order."""
    folder = tmp_path_factory.mktemp("results")
    ended = written_ledger.main({"results": str(folder), "trials": TRIALS})
    assert set(ended) == {"diverged", "failed", "finished", "pruned"}
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file's text was read."""
    times: Counter[Path] = Counter()
    read_text = Path.read_text

    def counted(path: Path, *args: str | None, **more: str | None) -> str:
        times[path] += 1
        return read_text(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", counted)
    return times


def of(opened: Counter[Path], part: str) -> list[int]:
    """How often each file was read of the long study's trials or evaluations."""
    return [n for path, n in opened.items() if path.parent.name == part and "lora" in str(path)]


def test_a_study_that_goes_on_reads_each_record_once_and_each_training_twice(
    results: Path, opened: Counter[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [NODE])
    asked = written_ledger.command(results, TRIALS + 1)
    [study], _, _ = plan(build_parser().parse_args([*asked, "--gpus-per-trial", "0"]))
    assert of(opened, "trials") == []  # whether the baseline is there is all that was asked
    course = Course(study, StudyFolder(results / study.id), CPU, Supervisor(lambda line: None))
    stage = course.next_stage()
    assert stage is not None
    made = stage.searcher.suggest("t")
    assert isinstance(made, dict)
    assert (Proposal.from_dict(made).number, stage.count) == (TRIALS, 1)
    assert of(opened, "trials") == [1] * TRIALS
    assert of(opened, "evaluations") == [2] * TRIALS  # what had ended might have been to record


def test_a_check_reads_each_file_once(results: Path, opened: Counter[Path]) -> None:
    assert main([str(results), "--check"]) == 0
    assert of(opened, "trials") == of(opened, "evaluations") == [1] * TRIALS


def test_an_analysis_looks_into_no_study_before_it_loads_it(
    results: Path, opened: Counter[Path]
) -> None:
    studies = load_studies([results], method=None)
    once = Counter(opened)
    opened.clear()
    for study in studies:
        load_study(study.path)
    assert once == opened
