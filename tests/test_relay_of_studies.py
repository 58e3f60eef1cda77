"""Real studies with real ledgers through the relay, asked and told as Ray Tune would do it."""

import io
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from tune_sentiment.errors import StartError
from tune_sentiment.failures import Failures
from tune_sentiment.forecast import forecast
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.listeners import StageListeners, StageScheduler
from tune_sentiment.lost_nodes import LostNodes
from tune_sentiment.machines import room
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
ONE_NODE = {"here": True}
NUMBERS = itertools.count()
CLUSTER = Resources(gpus_per_trial=0, address="auto")
ON_GPUS = Resources(gpus_per_trial=1.0, address="auto")
GPU_NODE = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 8e9}, "NodeID": "gpu"}


@pytest.fixture
def courses_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Course]]:
    """Courses of svm and full on two files, on the nodes that a list holds at any time."""

    def made(nodes: list[dict[str, Any]], resources: Resources = CPU) -> list[Course]:
        monkeypatch.setattr(ray, "nodes", lambda: nodes)
        for name in ("cafes", "trains"):
            rows = [f"{i % 2}\t{('warm', 'cold')[i % 2]} {name} number {i}" for i in range(90)]
            (tmp_path / f"{name}.tsv").write_text("\n".join(["label\ttext", *rows]) + "\n")
        files = ",".join(str(tmp_path / f"{name}.tsv") for name in ("cafes", "trains"))
        words = ["--method", "svm,full", "--dataset", files, "--model", "tiny", "--trials", "3"]
        words += ["--confirm-seeds", "2", "--max-epochs", "2", "--precision", "fp32"]
        studies, _, results = plan(
            build_parser().parse_args([*words, "--results", str(tmp_path / "results")])
        )
        supervisor, names = Supervisor(lambda line: None), labels(studies)
        device = "cuda" if resources.gpus_per_trial else "cpu"
        studies = [replace(s, source=replace(s.source, device=device)) for s in studies]
        return [
            Course(
                study,
                StudyFolder(results / study.id),
                resources,
                supervisor,
                names[study.id],
                forecast(study, None, slots_for(study, resources, study.side_by_side)),
            )
            for study in studies
        ]

    return made


@pytest.fixture
def courses(courses_on: Callable[..., list[Course]]) -> list[Course]:
    return courses_on([NODE])


def relay(
    courses: list[Course],
    failures: Failures | None = None,
    there: Room = ROOM,
    nodes_there: Mapping[str, bool] = ONE_NODE,
) -> Relay:
    screen = Screen([course.label for course in courses], Console(file=io.StringIO()))
    nodes = LostNodes(lambda: nodes_there)
    return Relay(courses, there, mode="max", screen=screen, nodes=nodes, failures=failures)


def handed_out(made: Relay, status: str = "PENDING") -> list[Any]:
    """Trials that Ray Tune makes of what the relay has now."""
    scheduler, listeners = StageScheduler(made), StageListeners(made)
    trials: list[Any] = []
    while isinstance(config := made.suggest(name := f"trial {next(NUMBERS)}"), dict):
        metadata = SimpleNamespace(num_failures=2)
        trial = SimpleNamespace(config=config, trial_id=name, run_metadata=metadata)
        trial.status, trial.last_result, trial.error_file = status, {}, None
        scheduler.on_trial_add(None, trial)
        if status == "RUNNING":
            listeners.on_trial_start(iteration=0, trials=[], trial=trial)
        trials.append(trial)
    return trials


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


def test_trials_that_were_asked_for_wait_for_machines_to_come(
    courses_on: Callable[..., list[Course]],
) -> None:
    four = replace(ON_GPUS, concurrency=4)
    full = [course for course in courses_on([GPU_NODE], four) if course.label.endswith("full")]
    made = relay(full, there=room(four))
    waiting = handed_out(made)
    assert len(waiting) == made.room.most == 4  # on one card: three more machines are asked for
    assert {(trial.config["gpus"], trial.config["cpus"]) for trial in waiting} == {(1.0, 8)}


def test_nodes_that_join_are_used(courses_on: Callable[..., list[Course]]) -> None:
    nodes = [NODE]
    [course] = [c for c in courses_on(nodes, CLUSTER) if c.label == "cafes full"]
    made = relay([course], there=room(CLUSTER))
    listeners = StageListeners(made)
    assert len(handed_out(made, "RUNNING")) == 2
    nodes.append({**NODE, "NodeID": "later"})
    assert handed_out(made) == []  # nodes are not looked at for each proposal
    listeners.looked = 0.0
    listeners.on_step_end(iteration=1, trials=[])
    assert len(handed_out(made, "RUNNING")) == 1  # the last of its three trials
    assert made.room.nodes == 2


def test_studies_with_and_without_a_gpu_run_side_by_side(
    courses_on: Callable[..., list[Course]],
) -> None:
    two_cards = {**GPU_NODE, "Resources": {"CPU": 12.0, "GPU": 2.0, "memory": 8e9}}
    two_cores = replace(ON_GPUS, cpus_per_trial=2)
    made = relay(courses_on([two_cards], two_cores), there=room(two_cores))
    sizes = [(trial.config["cpus"], trial.config["gpus"]) for trial in handed_out(made, "RUNNING")]
    assert sorted(sizes) == [(2, 0.0)] * 4 + [(2, 1.0)] * 2
    labels_now = {course.label for course in made.running.values()}
    assert labels_now == {course.label for course in made.courses}


def test_a_gpu_trial_without_a_node_keeps_no_core_idle(
    courses_on: Callable[..., list[Course]],
) -> None:
    nodes = [GPU_NODE, NODE]
    svm, full, *_ = courses_on(nodes, ON_GPUS)
    made = relay([svm, full], there=room(ON_GPUS))
    trials = handed_out(made, "RUNNING")
    assert [trial.config["gpus"] for trial in trials] == [0.0, 1.0, 0.0]
    nodes.remove(GPU_NODE)
    trials[1].status = "PENDING"  # Ray looks for another node
    made.look()
    ended = {"status": "finished", "evaluation": 1, "objective": 0.5}
    made.on_trial_complete(trials[0].trial_id, ended)
    [after] = handed_out(made, "RUNNING")
    assert after.config["study"] == svm.study.id


def test_a_stage_that_is_planned_while_its_gpu_node_is_lost_waits_for_another(
    courses_on: Callable[..., list[Course]],
) -> None:
    nodes = [GPU_NODE, NODE]
    _, full, *_ = courses_on(nodes, ON_GPUS)
    before = full.next_stage()
    nodes.remove(GPU_NODE)
    full.plan_again()
    after = full.next_stage()
    assert before is not None
    assert after is not None
    assert after is not before
    assert (after.slots.cpus, after.slots.gpus) == (before.slots.cpus, before.slots.gpus)
    _, full, *_ = courses_on([GPU_NODE, NODE], ON_GPUS)
    full.resources = Resources(gpus_per_trial=2.0, address="auto")
    with pytest.raises(StartError, match="2 GPUs asked for a trial, 1 on a node"):
        full.next_stage()  # which no node has ever held


def test_a_lost_node_leaves_the_trials_of_each_study_open(
    courses_on: Callable[..., list[Course]],
) -> None:
    nodes_there = {"here": True, "there": True}
    courses = courses_on([NODE, {**NODE, "NodeID": "there"}], CLUSTER)
    failures = Failures(lambda line: None)
    made = relay(courses, failures, room(CLUSTER), nodes_there)
    listeners, trials = StageListeners(made), handed_out(made, "RUNNING")
    assert [trial.config["study"] for trial in trials] == [each.study.id for each in courses]
    _, failed_before, failed_after, _ = courses
    with failures.of(failed_before.study.id):
        raise StartError("its folder is gone")
    for trial in trials:
        made.on_trial_complete(trial.trial_id, error=True)
        listeners.on_trial_error(iteration=1, trials=[], trial=trial)
    with failures.of(failed_after.study.id):
        raise StartError("its folder is gone, too")
    nodes_there["there"] = False
    listeners.on_step_end(iteration=2, trials=[])
    assert not made.running
    assert all(course.folder.trials() == [] for course in courses)  # none is recorded as failed
    made.room = ROOM
    drive(made)
    for course, trial in zip(courses, trials, strict=True):
        if course.study.id in failures:
            assert course.folder.trials() == []
            assert [t.proposal.key for t in course.folder.trainings()] == [trial.config["key"]]
        else:
            keys = {record["key"] for record in course.folder.trials()}
            assert (len(keys), trial.config["key"] in keys) == (3, True)
