"""Several studies in one run of Ray Tune: who is asked for a trial, and who is told of its end."""

import errno
import io
import os
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher
from ray.tune.utils import flatten_dict
from rich.console import Console

from tune_sentiment import relay as relays
from tune_sentiment.errors import Escape, StartError
from tune_sentiment.failures import Failures
from tune_sentiment.listeners import StageListeners, StageScheduler
from tune_sentiment.lost_nodes import LostNodes
from tune_sentiment.objects import StorageError
from tune_sentiment.progress import Progress
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.relay import Relay
from tune_sentiment.reports import STORE_AWAY, Objective, _report
from tune_sentiment.screen import Screen
from tune_sentiment.searcher import FixedSearch
from tune_sentiment.slots import Room, Slots
from tune_sentiment.stage import Stage

TWO, ONE = Slots(2, 1, 0.0), Slots(1, 2, 0.0)
LAPTOP = Room(cpus=2, gpus=0, memory=8e9)
ONE_NODE = {"here": True}


class Runs(FixedSearch):
    """Proposals with these keys; remembers which of them ended."""

    def __init__(self, *keys: str) -> None:
        made = [Proposal(number=0, key=k, origin="confirm", params={}, seed=1) for k in keys]
        super().__init__(made, mode="max")
        self.ended: list[str] = []

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self.ended.append(trial_id)


def stage(*keys: str, slots: Slots = TWO) -> Stage:
    recorder = Recorder(
        study_id="s",
        metric="val_accuracy",
        defaults={},
        write_record=lambda record, params: None,
        write_training=lambda training: None,
    )
    progress = Progress(
        label="svm",
        stage="search",
        total=len(keys),
        evaluations=1,
        metric="val_accuracy",
        mode="max",
        searched=["seed"],
        is_stopped=recorder.is_stopped,
    )
    return Stage(Runs(*keys), None, recorder, progress, len(keys), slots)


class Course:
    """A study with these stages, one after the other."""

    def __init__(self, name: str, *stages: Stage) -> None:
        self.study, self.label = SimpleNamespace(id=name, comparison=name.split()[0]), name
        self.stages, self.stage = list(stages), None if not stages else stages[0]
        self.begun = 0

    def next_stage(self) -> Stage | None:
        self.stage = self.stages[0] if self.stages else None
        return self.stage

    def begin_stage(self) -> None:
        self.begun += 1

    def end_stage(self) -> None:
        del self.stages[0]
        self.stage = None


def relay(
    *courses: Any,
    room: Room = LAPTOP,
    is_single: bool = False,
    nodes_there: Mapping[str, bool] = ONE_NODE,
) -> Relay:
    screen = Screen([course.label for course in courses], Console(file=io.StringIO()))
    nodes = LostNodes(lambda: nodes_there)
    return Relay(courses, room, mode="max", screen=screen, nodes=nodes, is_single=is_single)


def asked(made: Relay, *trials: str) -> list[Any]:
    """What each trial is given: study and key, ``None`` or ``FINISHED``."""
    found = [made.suggest(trial) for trial in trials]
    return [(f["study"], f["key"]) if isinstance(f, dict) else f for f in found]


def test_an_idle_slot_goes_to_the_next_study() -> None:
    made = relay(Course("svm", stage("a"), stage("b")), Course("lora", stage("c")))
    assert asked(made, "1", "2", "3") == [("svm", "a"), ("lora", "c"), None]


def test_a_stage_begins_when_the_last_training_of_the_one_before_has_ended() -> None:
    course = Course("svm", stage("a", "b"), stage("c"))
    made = relay(course)
    assert asked(made, "1", "2", "3") == [("svm", "a"), ("svm", "b"), None]
    made.on_trial_complete("1")
    assert (asked(made, "3"), course.begun) == ([None], 1)
    made.on_trial_complete("2")
    assert (asked(made, "3"), course.begun) == ([("svm", "c")], 2)
    made.on_trial_complete("3")
    assert asked(made, "4") == [Searcher.FINISHED]
    assert [len(made.recorders), course.stages] == [2, []]


def test_each_study_gets_its_share_of_slots_and_the_first_keep_them() -> None:
    studies = [Course(name, stage(*(f"{name}{i}" for i in range(4)))) for name in "abc"]
    made = relay(*studies, room=Room(cpus=4, gpus=0, memory=8e9))
    first = asked(made, "1", "2", "3", "4", "5")
    assert first == [("a", "a0"), ("b", "b0"), ("c", "c0"), ("a", "a1"), None]
    made.on_trial_complete("1")
    assert asked(made, "6") == [("a", "a2")]  # one each, and the first of equal ones
    made.on_trial_complete("2")
    assert asked(made, "7") == [("b", "b1")]  # which has none


def test_fewer_slots_than_studies_are_kept_by_the_first_ones() -> None:
    made = relay(*(Course(name, stage(f"{name}0", f"{name}1")) for name in "abc"))
    assert asked(made, "1", "2") == [("a", "a0"), ("b", "b0")]
    made.on_trial_complete("1")
    assert asked(made, "3") == [("a", "a1")]


def test_idle_slots_of_a_study_go_to_the_others() -> None:
    short, long = Course("short", stage("s")), Course("long", stage("0", "1", "2", "3"))
    made = relay(short, long, room=Room(cpus=3, gpus=0, memory=8e9))
    assert asked(made, "1", "2", "3") == [("short", "s"), ("long", "0"), ("long", "1")]
    made.on_trial_complete("1")
    assert asked(made, "4") == [None]  # as many as its stage was planned for, each with its cores


def test_one_slot_goes_from_study_to_study() -> None:
    one = Room(cpus=2, gpus=0, memory=8e9, trainings=1)
    made = relay(Course("a", stage("0", "1")), Course("b", stage("2")), room=one)
    given = []
    for trial in "1", "2", "3":
        given += asked(made, trial)
        assert asked(made, "more") == [None]
        made.on_trial_complete(trial)
    assert given == [("a", "0"), ("a", "1"), ("b", "2")]
    assert asked(made, "4") == [Searcher.FINISHED]


def test_stages_of_other_sizes_share_a_run() -> None:
    course = Course("svm", stage("a"), stage("b", slots=ONE))
    made = relay(course, Course("lora", stage("c", "d")))
    assert asked(made, "1", "2") == [("svm", "a"), ("lora", "c")]
    made.on_trial_complete("1")
    assert asked(made, "3") == [("lora", "d")]  # the larger one does not keep a core idle
    made.on_trial_complete("2")
    assert asked(made, "4") == [None]
    made.on_trial_complete("3")
    wide = made.suggest("4")
    assert isinstance(wide, dict)
    assert (wide["study"], wide["cpus"], wide["gpus"]) == ("svm", 2, 0.0)
    assert asked(made, "5") == [None]


def test_a_stage_without_room_has_not_begun() -> None:
    waiting = Course("b", stage("0"))
    made = relay(Course("wide", stage("w", slots=ONE)), waiting)
    assert asked(made, "1", "2") == [("wide", "w"), None]
    assert waiting.begun == 0
    assert made.screen.states["b"] == "waiting"
    made.on_trial_complete("1")
    assert asked(made, "3") == [("b", "0")]
    assert waiting.begun == 1


def test_a_training_that_waits_for_a_node_is_not_overtaken_by_smaller_ones() -> None:
    two_nodes = Room(cpus=6, gpus=0, memory=8e9, nodes=2)
    made = relay(
        Course("wide", stage("w", slots=ONE)), Course("b", stage("0", "1")), room=two_nodes
    )
    waiting = rays_trial(made, "1")
    StageScheduler(made).on_trial_add(None, waiting)
    assert asked(made, "2") == [None]
    waiting.status = "RUNNING"
    assert asked(made, "2") == [("b", "0")]


def test_a_suspect_runs_before_all_else_and_with_nothing_beside_it() -> None:
    suspect = stage("s")
    suspect.is_alone = True
    made = relay(Course("a", stage("0")), Course("b", suspect, stage("1")))
    assert asked(made, "1", "2") == [("b", "s"), None]
    made.on_trial_complete("1")
    assert asked(made, "2", "3") == [("a", "0"), ("b", "1")]


def test_a_comparison_that_is_trained_does_not_wait_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def grid() -> Relay:
        courses = [Course(name, stage(name)) for name in ("a svm", "a lora", "b svm", "b lora")]
        return relay(*courses, room=Room(cpus=3, gpus=0, memory=8e9))

    def after(made: Relay, *ended: str) -> tuple[list[Any], str]:
        trial = SimpleNamespace(config=configs["3"], last_result=None)
        for each in ended:
            made.on_trial_complete(each)
        return asked(made, "4"), StageScheduler(made).on_trial_result(None, trial, {})

    for seconds, expected in (
        (600.0, ([("b lora", "b lora")], "CONTINUE")),
        (0.0, ([Searcher.FINISHED], "STOP")),
    ):
        monkeypatch.setattr(relays, "PAUSE_SECONDS", seconds)
        made = grid()
        configs = {name: made.suggest(name) for name in ("1", "2", "3")}
        assert [config["study"] for config in configs.values()] == ["a svm", "a lora", "b svm"]
        made.on_trial_complete("1")
        assert asked(made, "x") == [("b lora", "b lora")]
        assert not made.is_pausing  # one of its studies is under way
        made = grid()
        configs = {name: made.suggest(name) for name in ("1", "2", "3")}
        assert after(made, "1", "2") == expected
        assert made.is_pausing == (seconds == 0)


def test_a_comparison_of_failures_pauses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "PAUSE_SECONDS", 0.0)
    torn = stage("t")
    torn.searcher = Torn("t")
    made = relay(Course("a svm", torn), Course("b svm", stage("0")))
    made.failures = Failures(lambda line: None)
    assert asked(made, "1", "2") == [("b svm", "0"), None]
    assert not made.is_pausing


class Torn(Runs):
    """Proposals of a study whose ledger cannot be read any more."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        raise StartError("study.json is gone")


def test_a_study_that_fails_leaves_its_slots_to_the_others() -> None:
    torn = stage("t")
    torn.searcher = Torn("t")
    said: list[str] = []
    made = relay(Course("torn", torn), Course("b", stage("0", "1")))
    made.failures = Failures(said.append)
    assert asked(made, "1", "2") == [("b", "0"), ("b", "1")]
    assert said == ["torn is left out: study.json is gone"]
    made.on_trial_complete("1"), made.on_trial_complete("2")
    assert asked(made, "3") == [Searcher.FINISHED]


def broken(number: int) -> Stage:
    """A stage whose ledger takes no record."""
    made = stage("x")

    def write_record(record: Any, params: Any) -> None:
        raise OSError(number, os.strerror(number))

    made.recorder.write_record = write_record
    return made


def test_a_ledger_that_takes_no_record_fails_its_study_alone() -> None:
    made = relay(Course("broken", broken(errno.ENOTDIR)), Course("b", stage("0", "1")))
    listeners, scheduler = StageListeners(made), StageScheduler(made)
    trials = [rays_trial(made, i) for i in ("1", "2")]
    for trial in trials:
        scheduler.on_trial_add(None, trial)
        listeners.on_trial_start(iteration=0, trials=[], trial=trial)
    listeners.on_trial_error(iteration=0, trials=[], trial=trials[0])
    assert list(made.failures.errors) == ["broken"]
    assert scheduler.on_trial_result(None, trials[0], {}) == "STOP"
    made.on_trial_complete("1")
    assert asked(made, "3") == [("b", "1")]


def test_a_full_disk_ends_the_run_for_all() -> None:
    made = relay(Course("broken", broken(errno.ENOSPC)), Course("b", stage("0")))
    trial = rays_trial(made, "1")
    listeners = StageListeners(made)
    listeners.on_trial_start(iteration=0, trials=[], trial=trial)
    with pytest.raises(Escape) as raised:
        listeners.on_trial_error(iteration=0, trials=[], trial=trial)
    assert isinstance(raised.value.__cause__, OSError)
    assert not made.failures.errors


class Wavering(Runs):
    """Says that there is no more, and then that there is."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        self.asked = getattr(self, "asked", 0) + 1
        return str(Searcher.FINISHED) if self.asked == 2 else super().suggest(trial_id)


def test_a_searcher_that_has_finished_is_not_asked_again() -> None:
    wavering = stage("a", "b")
    wavering.searcher = Wavering("a", "b")
    made = relay(Course("svm", wavering))
    assert asked(made, "1", "2", "2") == [("svm", "a"), None, None]
    made.on_trial_complete("1")
    assert asked(made, "2") == [Searcher.FINISHED]


def rays_trial(made: Relay, trial_id: str, losses: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        config=made.suggest(trial_id),
        trial_id=trial_id,
        status="PENDING",
        error_file=None,
        run_metadata=SimpleNamespace(num_failures=losses),
        last_result={},
    )


@pytest.mark.parametrize(
    ("losses", "lost", "is_open"),
    [(2, 0, False), (2, 1, True), (2, 2, True), (3, 1, True), (4, 1, False)],
)
def test_losses_with_a_node_are_not_the_trials_and_leave_it_open(
    losses: int, lost: int, is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_sentiment.lost_nodes.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("tune_sentiment.lost_nodes.PAUSE_SECONDS", 0.0)
    there, given_up = {str(i): i > 0 for i in range(5)}, stage("a")  # one was lost long before
    made = relay(Course("svm", given_up), nodes_there=there)
    trial = rays_trial(made, "1", losses)
    StageScheduler(made).on_trial_add(None, trial)
    listeners = StageListeners(made)
    listeners.on_trial_start(iteration=1, trials=[trial], trial=trial)
    StageScheduler(made).on_trial_error(None, trial)
    made.on_trial_complete("1", error=True)
    trial.status = "ERROR"
    listeners.on_trial_error(iteration=2, trials=[trial], trial=trial)
    listeners.on_step_end(iteration=2, trials=[trial])
    assert asked(made, "2") == [None]  # the study waits for what has become of its trial
    there |= {str(i + 1): False for i in range(lost)}  # Ray learns of it later
    time.sleep(0.3 if not is_open else 0.0)
    listeners.on_step_end(iteration=3, trials=[trial])
    assert asked(made, "2") == [Searcher.FINISHED]
    assert (given_up.recorder.ended == {"a"}) is not is_open
    assert (given_up.recorder.left_open == {"a"}) is is_open
    assert given_up.searcher.ended == ([] if is_open else ["1"])
    assert not given_up.recorder.running


def test_one_look_decides_about_all_that_ran_on_a_lost_node() -> None:
    there, given_up = {"head": True, "lost": True}, stage("a", "b")
    made = relay(Course("svm", given_up), nodes_there=there)
    listeners = StageListeners(made)
    for trial in (rays_trial(made, "1", losses=2), rays_trial(made, "2", losses=2)):
        StageScheduler(made).on_trial_add(None, trial)
        listeners.on_trial_start(iteration=1, trials=[trial], trial=trial)
        made.on_trial_complete(trial.trial_id, error=True)
    there["lost"] = False
    listeners.on_step_end(iteration=2, trials=[])
    assert given_up.recorder.left_open == {"a", "b"}
    assert not made.running


def test_a_trial_that_ray_gives_up_without_a_word_is_recorded_and_makes_room() -> None:
    given_up = stage("a")
    made = relay(Course("svm", given_up))
    trial = rays_trial(made, "1")
    StageScheduler(made).on_trial_add(None, trial)
    listeners = StageListeners(made)
    listeners.on_step_end(iteration=1, trials=[trial])
    assert asked(made, "2") == [None]
    trial.status = "ERROR"
    listeners.on_step_end(iteration=2, trials=[trial])
    assert given_up.recorder.ended == {"a"}
    assert asked(made, "2") == [Searcher.FINISHED]


def test_a_node_that_cannot_be_used_ends_the_run_with_its_reason() -> None:
    def look() -> None:
        raise StartError("node 10.0.0.7 does not share the results folder")

    listeners = StageListeners(relay(Course("svm", stage("a"))), look)
    listeners.looked = 0.0
    with pytest.raises(Escape) as escape:
        listeners.on_step_end(iteration=1, trials=[])
    assert isinstance(escape.value.__cause__, StartError)


def test_a_store_that_is_away_for_a_worker_ends_the_run_and_leaves_the_trial_open() -> None:
    here = stage("a")
    made = relay(Course("svm", here))
    trial = rays_trial(made, "1")
    scheduler, listeners = StageScheduler(made), StageListeners(made)
    scheduler.on_trial_add(None, trial)
    listeners.on_trial_start(iteration=0, trials=[], trial=trial)
    report = _report(STORE_AWAY, Objective("max"), {"error": "s3://b/x: no answer"})
    with pytest.raises(Escape) as escape:
        scheduler.on_trial_result(None, trial, flatten_dict(report))
    assert str(escape.value.__cause__) == "s3://b/x: no answer"
    assert isinstance(escape.value.__cause__, StorageError)
    assert not here.recorder.ended
    assert not made.failures.errors


def test_a_single_stage_is_not_followed_by_the_next() -> None:
    made = relay(Course("svm", stage("a"), stage("b")), is_single=True)
    assert asked(made, "1") == [("svm", "a")]
    made.on_trial_complete("1")
    assert asked(made, "2") == [Searcher.FINISHED]


def test_what_happens_to_a_trial_is_told_to_its_own_study() -> None:
    first, second = stage("same"), stage("same")
    made = relay(Course("svm", first), Course("lora", second))
    listeners = StageListeners(made)
    for trial in ("1", "2"):
        told = SimpleNamespace(config=made.suggest(trial), last_result=None)
        listeners.on_trial_start(iteration=0, trials=[], trial=told)
    made.on_trial_complete("2")
    assert isinstance(first.searcher, Runs)
    assert isinstance(second.searcher, Runs)
    assert (first.searcher.ended, second.searcher.ended) == ([], ["2"])
    assert set(first.recorder.running) == set(second.recorder.running) == {"same"}
