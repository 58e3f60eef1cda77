"""A study's stages, planned from a real ledger: what comes next, and what is not tried again."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from run_search import plan
from tune_sentiment.config import Resources
from tune_sentiment.course import Course
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.options import build_parser
from tune_sentiment.stage import Stage
from tune_sentiment.supervisor import Supervisor

CPU = Resources(gpus_per_trial=0)
NODE = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 8e9}}


@pytest.fixture
def courses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[Course], Supervisor]]:
    monkeypatch.setattr(ray, "nodes", lambda: [NODE])

    def made(*words: str) -> tuple[list[Course], Supervisor]:
        asked = ["--dataset", "demo", "--model", "tiny", "--gpus-per-trial", "0", *words]
        studies, _, results = plan(
            build_parser().parse_args([*asked, "--results", str(tmp_path / "results")])
        )
        supervisor = Supervisor(lambda line: None)
        folders = [StudyFolder(results / study.id) for study in studies]
        return [
            Course(study, folder, CPU, supervisor)
            for study, folder in zip(studies, folders, strict=True)
        ], supervisor

    return made


def begin(course: Course) -> tuple[Stage, Any]:
    """A training of the next stage as Ray Tune would begin it."""
    stage = course.next_stage()
    assert stage is not None
    course.begin_stage()
    config = stage.searcher.suggest("t")
    trial = SimpleNamespace(config=config, last_result={"pid": 1}, error_file=None)
    stage.recorder.on_trial_start(0, [], trial)
    return stage, trial


def finish(course: Course) -> None:
    stage, trial = begin(course)
    metrics = {"val_accuracy": 0.75}
    result = {"status": "finished", "evaluation": 1, "objective": 0.75}
    stage.recorder.on_trial_result(0, [], trial, {**result, "details": {"metrics": metrics}})
    stage.searcher.on_trial_complete("t", result)
    stage.recorder.on_trial_complete(0, [], trial)
    course.end_stage()


def fail(course: Course) -> None:
    stage, trial = begin(course)
    stage.recorder.on_trial_error(0, [], trial)
    course.end_stage()


def test_a_study_waits_for_its_turn_without_its_clock_running(
    courses: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, second), _ = courses("--method", "svm,full", "--time-budget-minutes", "60")
    for course in (first, second):
        course.next_stage()
        assert course.is_timed
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start)
    assert first.start_clock() == pytest.approx(3600)
    monkeypatch.setattr(time, "monotonic", lambda: start + 3000)
    assert (first.start_clock(), second.start_clock()) == pytest.approx((600, 3600))


def test_the_search_is_followed_by_the_confirmation_and_then_by_nothing(
    courses: Callable[..., Any],
) -> None:
    [course], _ = courses("--method", "svm", "--trials", "1")
    stage = course.next_stage()
    assert (stage.is_search, stage.count) == (True, 1)
    finish(course)
    stage = course.next_stage()
    assert (stage.is_search, len(stage.keys)) == (False, 1)
    finish(course)
    assert course.next_stage() is None
    assert len(course.folder.confirmations()) == 1


def test_a_confirmation_run_that_fails_is_tried_once_more(courses: Callable[..., Any]) -> None:
    [course], _ = courses("--method", "svm", "--trials", "1")
    finish(course)
    fail(course)
    fail(course)
    assert course.next_stage() is None
    [record] = course.folder.confirmations()
    assert record["status"] == "failed"


def test_a_run_that_failed_and_then_took_ray_down_is_not_tried_for_ever(
    courses: Callable[..., Any],
) -> None:
    [course], supervisor = courses("--method", "svm", "--trials", "1")
    finish(course)
    fail(course)
    stage = course.next_stage()
    with supervisor.watch([stage.recorder]):
        begin(course)
        raise RuntimeError("lost")
    course.plan_again()
    assert course.next_stage() is None
