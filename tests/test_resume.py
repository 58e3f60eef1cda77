"""A study that was interrupted anywhere and goes on ends as one that never was."""

import gc
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from run_search import plan
from tests.faults.command import LONG
from tune_sentiment import tuner
from tune_sentiment.config import Resources
from tune_sentiment.data import load_train_val
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.options import build_parser
from tune_sentiment.records import Training, TrialRecord
from tune_sentiment.session import SharedInputs, ray_session
from tune_sentiment.study import Study
from tune_sentiment.workload import CHECKPOINT_VARIABLE, Inputs, open_folder

pytestmark = [pytest.mark.slow, pytest.mark.faults]
TRIALS = 8
SHARES = (0.0, 0.1, 0.3, 0.999)  # of all writes of the study, where it is cut
ONE_AT_A_TIME = Resources(concurrency=1, gpus_per_trial=0)
MEASURED = {"ended_at", "started_at", "train_seconds", "eval_seconds", "peak_memory_bytes"}
MEASURED |= {"train_samples_per_second", "train_steps_per_second"}


class Cutting(StudyFolder):
    """A ledger whose process ends at one of its writes, just before it or just after it.

    Args:
        path: The study's folder.
        cut: Number of the write, from 1.
        is_before: Whether the write itself is lost.
    """

    def __init__(self, path: Path, cut: int | None = None, is_before: bool = False) -> None:
        super().__init__(path)
        self.cut, self.is_before = cut, is_before
        self.written: list[str] = []  # ``evaluations``, or the status of a record

    def write_training(self, training: Training, part: str = "evaluations") -> None:
        self._end(True, "evaluations")
        super().write_training(training, part)
        self._end(False)

    def write_trial(self, record: TrialRecord, params: Mapping[str, Any]) -> None:
        self._end(True, record.status)
        super().write_trial(record, params)
        self._end(False)

    def _end(self, is_before: bool, kind: str | None = None) -> None:
        if kind is not None:
            self.written.append(kind)
        if len(self.written) == self.cut and is_before == self.is_before:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    rows = [
        f"{i % 2}\t{'a warm and funny' if i % 2 else 'a dull and cold'} film {i}" for i in range(90)
    ]
    path = tmp_path_factory.mktemp("data") / "films.tsv"
    path.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")
    arguments = ["--method", "full", "--dataset", str(path), "--model", "tiny"]
    arguments += ["--trials", str(TRIALS), "--max-epochs", "3", "--gpus-per-trial", "0"]
    arguments += ["--confirm-seeds", "0"]
    arguments += ["--metric", "val_loss"]  # no two trials are equal in it, so ASHA ends some
    arguments += ["--results", str(tmp_path_factory.mktemp("results"))]
    studies, _, _ = plan(build_parser().parse_args(arguments))
    return studies[-1]


@pytest.fixture(scope="module")
def inputs(study: Study) -> Iterator[Inputs]:
    with ray_session(ONE_AT_A_TIME):
        source, seed = study.source, study.config.seed
        splits = load_train_val(source.dataset, mirror=None, train_samples=None, seed=seed)
        yield Inputs(
            *(SharedInputs(source.backbone, split, 64, "cpu", ONE_AT_A_TIME) for split in splits)
        )


def ended(folder: StudyFolder) -> tuple[list[dict[str, Any]], list[Any]]:
    """Every record and every evaluation, without what a clock or the operating system said."""

    def without_clock(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name not in MEASURED}

    records = [without_clock(record) for record in folder.trials()]
    lines = [
        (training.proposal, [without_clock(line) for line in training.lines])
        for training in folder.trainings()
    ]
    return records, lines


@pytest.fixture(scope="module")
def whole(study: Study, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Cutting:
    folder = Cutting(open_folder(study, tmp_path_factory.mktemp("whole")).path)
    tuner.run([(study, folder)], lambda _: inputs, ONE_AT_A_TIME)
    records = folder.trials()
    assert len(records) == TRIALS
    assert {record["status"] for record in records} == {"finished", "pruned"}
    return folder


def run_until_cut(study: Study, folder: Cutting, inputs: Inputs) -> None:
    with pytest.raises(KeyboardInterrupt):
        tuner.run([(study, folder)], lambda _: inputs, ONE_AT_A_TIME)
    gc.collect()  # the actors of the run that was cut, which a process takes with it


CUTS = [(share, is_before, "0") for share in SHARES for is_before in (True, False)]
CUTS += [(0.3, False, "60"), (0.1, True, "60")]  # without a state to go on from
ALWAYS = [(0.3, True, "0"), (0.999, False, "0"), (0.1, True, "60")]


@pytest.mark.fault("driver-cut")
@pytest.mark.parametrize(
    ("share", "is_before", "saves"),
    [pytest.param(*cut, marks=[] if cut in ALWAYS else LONG) for cut in CUTS],
)
def test_a_study_cut_anywhere_ends_as_one_that_never_was(
    share: float,
    is_before: bool,
    saves: str,
    study: Study,
    inputs: Inputs,
    whole: Cutting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, saves)
    cut = 1 + int(share * len(whole.written))
    assert_the_same_after(cut, is_before, study, inputs, whole, tmp_path)


@pytest.mark.fault("driver-cut")
@pytest.mark.parametrize("which", [0, *(pytest.param(which, marks=LONG) for which in (1, 2))])
def test_a_decision_to_stop_that_was_lost_is_taken_at_the_next_start(
    which: int,
    study: Study,
    inputs: Inputs,
    whole: Cutting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "0")
    records = [i for i, kind in enumerate(whole.written) if kind == "pruned"]
    assert whole.written[records[which] - 1] == "evaluations"
    last_evaluation = records[which]  # counted from 1, the write before the record's
    assert_the_same_after(last_evaluation, False, study, inputs, whole, tmp_path)


def assert_the_same_after(
    cut: int, is_before: bool, study: Study, inputs: Inputs, whole: Cutting, results: Path
) -> None:
    path = open_folder(study, results).path
    run_until_cut(study, Cutting(path, cut, is_before), inputs)
    if is_before:
        shutil.rmtree(path / "ray", ignore_errors=True)
    folder = StudyFolder(path)
    tuner.run([(study, folder)], lambda _: inputs, ONE_AT_A_TIME)
    assert ended(folder) == ended(whole)
    assert not list(folder.checkpoints.glob("*"))
