"""Real studies with real ledgers through the relay, asked and told as Ray Tune would do it."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.search import Searcher
from rich.console import Console

from run_search import plan
from tune_sentiment import relay as relays
from tune_sentiment.config import Resources
from tune_sentiment.course import Course
from tune_sentiment.failures import Failures
from tune_sentiment.forecast import forecast
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.listeners import StageListeners, StageScheduler
from tune_sentiment.lost_nodes import LostNodes
from tune_sentiment.options import build_parser
from tune_sentiment.relay import Relay
from tune_sentiment.screen import Screen
from tune_sentiment.slots import Room
from tune_sentiment.sources import labels
from tune_sentiment.supervisor import Supervisor
from tune_sentiment.workload import slots_for

CPU = Resources(gpus_per_trial=0)
NODE = {"Alive": True, "Resources": {"CPU": 2.0, "memory": 8e9}, "NodeID": "here"}
ROOM = Room(cpus=2, gpus=0, memory=8e9)


@pytest.fixture
def courses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Course]:
    monkeypatch.setattr(ray, "nodes", lambda: [NODE])
    for name in ("cafes", "trains"):
        rows = [f"{i % 2}\t{('warm', 'cold')[i % 2]} {name} number {i}" for i in range(90)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["label\ttext", *rows]) + "\n")
    files = ",".join(str(tmp_path / f"{name}.tsv") for name in ("cafes", "trains"))
    words = ["--method", "svm,full", "--dataset", files, "--model", "tiny", "--trials", "3"]
    words += ["--confirm-seeds", "2", "--max-epochs", "2", "--gpus-per-trial", "0"]
    studies, _, results = plan(
        build_parser().parse_args([*words, "--results", str(tmp_path / "results")])
    )
    supervisor, names = Supervisor(lambda line: None), labels(studies)
    return [
        Course(
            study,
            StudyFolder(results / study.id),
            CPU,
            supervisor,
            names[study.id],
            forecast(study, None, slots_for(study, CPU, study.side_by_side), CPU),
        )
        for study in studies
    ]


def relay(courses: list[Course], failures: Failures | None = None) -> Relay:
    screen = Screen([course.label for course in courses], Console(file=io.StringIO()))
    nodes = LostNodes(lambda: {"here": True})
    return Relay(courses, ROOM, mode="max", screen=screen, nodes=nodes, failures=failures)


def drive(made: Relay, meanwhile: Callable[[str], None] = lambda label: None) -> list[str]:
    """Do what Ray Tune does until the relay has no more; returns whose trainings were begun."""
    scheduler, listeners = StageScheduler(made), StageListeners(made)
    names = {course.study.id: course.label for course in made.courses}
    begun: list[str] = []
    running: list[Any] = []
    told: dict[str, Any] = {"iteration": 0, "trials": []}
    while True:
        while isinstance(config := made.suggest(str(len(begun))), dict):
            trial = SimpleNamespace(
                config=config, trial_id=str(len(begun)), status="RUNNING", last_result={}
            )
            begun.append(names[config["study"]])
            scheduler.on_trial_add(None, trial)
            listeners.on_trial_start(**told, trial=trial)
            running.append(trial)
            assert len(running) <= 2
        if not running:
            assert config == Searcher.FINISHED
            return begun
        trial = running.pop(0)
        planned = trial.config["evaluations"] or (
            1 if begun and "svm" in names[trial.config["study"]] else 2
        )
        for evaluation in range(1, planned + 1):
            score = {"val_accuracy": 0.5 + trial.config["number"] / 10 + evaluation / 100}
            result = {
                "evaluation": evaluation,
                "status": "finished" if evaluation == planned else "running",
                "objective": score["val_accuracy"],
                "details": {"metrics": score},
            }
            made.on_trial_result(trial.trial_id, result)
            decision = scheduler.on_trial_result(None, trial, result)
            listeners.on_trial_result(**told, trial=trial, result=result)
            if decision == "STOP":
                break
        made.on_trial_complete(trial.trial_id, result)
        scheduler.on_trial_complete(None, trial, result)
        listeners.on_trial_complete(**told, trial=trial)
        meanwhile(names[trial.config["study"]])


def test_every_study_goes_its_way_to_the_last_run_of_its_winner(courses: list[Course]) -> None:
    begun = drive(relay(courses))
    assert begun[:4] == ["cafes svm", "cafes full", "cafes svm", "cafes full"]
    assert begun.index("trains svm") > begun.index("cafes full")
    for course in courses:
        assert len(course.folder.trials()) == 3
        wanted = 1 if course.label.endswith("svm") else 6  # the best three with two seeds each
        assert len(course.folder.confirmations()) == wanted
        assert course.folder.selection is not None
        assert course.next_stage() is None
        assert (course.folder.forecast or {})["trials"] == 3
        assert begun.count(course.label) == 3 + wanted


def test_a_study_whose_folder_is_spoilt_midway_leaves_the_others_to_end(
    courses: list[Course],
) -> None:
    spoilt, said = courses[1], list[str]()

    def spoil(label: str) -> None:
        trials = spoilt.folder.path / "trials"
        if label == spoilt.label and trials.is_dir():
            trials.rename(trials.with_name("moved"))
            trials.write_text("")

    failures = Failures(said.append)
    made = relay(courses, failures)
    drive(made, spoil)
    assert list(failures.errors) == [spoilt.study.id]
    assert any(f"{spoilt.study.id} is left out" in line for line in said)
    assert made.screen.states == {
        course.label: "left out" if course is spoilt else "trained" for course in courses
    }
    for course in courses:
        if course is not spoilt:
            assert len(course.folder.trials()) == 3
            assert course.next_stage() is None


def test_a_pause_leaves_trials_open_that_the_next_run_ends(
    courses: list[Course], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "PAUSE_SECONDS", 0.0)
    first = relay(courses)
    begun = drive(first)
    assert first.is_pausing
    done = [course for course in courses if course.label.startswith("cafes")]
    assert {course.next_stage() for course in done} == {None}
    rest = [course for course in courses if course not in done]
    for course in rest:
        course.plan_again()
    begun += drive(relay(rest))
    for course in courses:
        assert len(course.folder.trials()) == 3
        assert {record["status"] for record in course.folder.trials()} <= {"finished", "pruned"}
        assert course.next_stage() is None
    open_once = len(begun) - sum(
        len(each.folder.trials()) + len(each.folder.confirmations()) for each in courses
    )
    assert 0 <= open_once <= 2  # as many as there are slots
