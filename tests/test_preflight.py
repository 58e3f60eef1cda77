import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from run_search import plan
from tune_sentiment import preflight
from tune_sentiment.config import Resources
from tune_sentiment.confirm_plan import missing_confirmations
from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.options import build_parser
from tune_sentiment.preflight import (
    SPARE_BYTES,
    check,
    checkpoint_bytes,
    run_bytes,
    together_bytes,
)
from tune_sentiment.selection import confirmation_runs
from tune_sentiment.study import Study
from tune_sentiment.workload import CHECKPOINT_VARIABLE, checkpoint_seconds

CPU = Resources(gpus_per_trial=0)
TWO = Resources(gpus_per_trial=0, concurrency=2, address="auto")


@pytest.fixture(scope="module")
def study_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Study]:
    def made(method: str) -> Study:
        results = str(tmp_path_factory.mktemp("results"))
        words = ["--method", method, "--dataset", "demo", "--model", "tiny", "--results", results]
        studies, _, _ = plan(build_parser().parse_args([*words, "--gpus-per-trial", "0"]))
        return next(study for study in studies if study.config.method == method)

    return made


def test_what_trains_decides_how_much_room_is_needed(study_of: Callable[[str], Study]) -> None:
    svm, lora, full = (together_bytes([study_of(name)], CPU) for name in ("svm", "lora", "full"))
    assert svm < lora < full
    one_at_a_time = Resources(gpus_per_trial=0, concurrency=1)
    params = study_of("full").num_trainable_params
    states = 3 * 3  # three checkpoints of three copies
    runs = 5 + 2 * 2  # the winner's seeds, and two of each trial beside it
    weights = study_of("full").source.backbone.weights_bytes
    needed = together_bytes([study_of("full")], one_at_a_time)
    assert needed == 4 * params * (states + runs) + weights


@pytest.mark.parametrize(("seeds", "runs"), [(0, 0), (1, 1), (2, 6), (5, 9)])
def test_each_confirmation_run_needs_room_once(
    seeds: int, runs: int, study_of: Callable[[str], Study], tmp_path: Path
) -> None:
    full, svm = (
        replace(study, config=replace(study.config, confirm_seeds=seeds))
        for study in (study_of("full"), study_of("svm"))
    )
    assert confirmation_runs(full) == missing_confirmations(full, StudyFolder(tmp_path)) == runs
    assert run_bytes(full) == runs * 4 * full.num_trainable_params
    assert (
        confirmation_runs(svm) == missing_confirmations(svm, StudyFolder(tmp_path)) == min(1, runs)
    )


def test_studies_share_the_room_for_checkpoints_and_nothing_else(
    study_of: Callable[[str], Study],
) -> None:
    lora, full = study_of("lora"), study_of("full")
    alone, both = together_bytes([full], TWO), together_bytes([lora, full], TWO)
    weights = lora.source.backbone.weights_bytes
    assert both == alone + run_bytes(lora) + weights
    assert checkpoint_bytes(full, 2) == 2 * checkpoint_bytes(full, 1) > checkpoint_bytes(lora, 2)


@pytest.mark.faults
def test_a_disk_without_room_is_refused_and_one_with_room_is_not(
    study_of: Callable[[str], Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of("full")
    needed = SPARE_BYTES + together_bytes([study], CPU)
    for free, is_enough in ((needed, True), (needed - 1, False)):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        if is_enough:
            check([study], CPU, tmp_path)
        else:
            with pytest.raises(StartError, match="GB free; checkpoints and winner can take"):
                check([study], CPU, tmp_path)


@pytest.mark.faults
def test_a_folder_that_takes_no_file_is_refused(
    study_of: Callable[[str], Study], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot write in"):
        check([study_of("svm")], CPU, tmp_path / "file" / "results")


@pytest.mark.faults
def test_more_than_this_machine_has_is_refused(
    study_of: Callable[[str], Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "cores", lambda: 2)
    with pytest.raises(StartError, match="3 CPUs asked for a trial, 2 there"):
        check([study_of("full")], Resources(gpus_per_trial=0, cpus_per_trial=3), tmp_path)
    elsewhere = Resources(gpus_per_trial=0, cpus_per_trial=3, address="10.0.0.1:6379")
    check([study_of("full")], elsewhere, tmp_path)


def test_the_time_between_checkpoints_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_seconds() == 60.0
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "5")
    assert checkpoint_seconds() == 5.0
    monkeypatch.setenv(CHECKPOINT_VARIABLE, "soon")
    with pytest.raises(UsageError, match="wants seconds, got 'soon'"):
        checkpoint_seconds()
