"""Several studies in one run of Ray Tune: who is asked for a trial, and who is told of its end."""

import io
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher
from rich.console import Console

from tune_sentiment.course import Stage
from tune_sentiment.nodes import LostNodes
from tune_sentiment.progress import Progress, Screen
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.relay import Relay, StageListeners, StageScheduler
from tune_sentiment.searcher import FixedSearch
from tune_sentiment.slots import Slots

TWO, ONE = Slots(2, 1, 0.0), Slots(1, 2, 0.0)
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
        title="a stage",
        method="svm",
        total=len(keys),
        evaluations=1,
        metric="val_accuracy",
        searched=["seed"],
        is_stopped=recorder.is_stopped,
    )
    return Stage(Runs(*keys), None, recorder, progress, len(keys), slots)


class Course:
    """A study with these stages, one after the other."""

    def __init__(self, name: str, *stages: Stage) -> None:
        self.study = SimpleNamespace(id=name)
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
    slots: Slots = TWO,
    is_single: bool = False,
    nodes_there: Mapping[str, bool] = ONE_NODE,
) -> Relay:
    screen = Screen(Console(file=io.StringIO()))
    nodes = LostNodes(lambda: nodes_there)
    return Relay(courses, slots, mode="max", screen=screen, nodes=nodes, is_single=is_single)


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


def test_a_stage_that_wants_other_slots_waits_for_another_run() -> None:
    course = Course("svm", stage("a"), stage("b", slots=ONE))
    made = relay(course, Course("lora", stage("c")))
    assert asked(made, "1", "2") == [("svm", "a"), ("lora", "c")]
    made.on_trial_complete("1"), made.on_trial_complete("2")
    assert asked(made, "3") == [Searcher.FINISHED]
    assert (course.begun, len(course.stages)) == (1, 1)


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
    [(2, 0, False), (2, 1, True), (2, 2, True), (3, 1, False), (3, 2, True)],
)
def test_losses_with_a_node_are_not_the_trials_and_leave_it_open(
    losses: int, lost: int, is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_sentiment.nodes.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("tune_sentiment.nodes.PAUSE_SECONDS", 0.0)
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
