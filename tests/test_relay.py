"""Several studies in one run of Ray Tune: who is asked for a trial, and who is told of its end."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher
from rich.console import Console

from tune_sentiment.course import Stage
from tune_sentiment.errors import Escape, StartError
from tune_sentiment.progress import Progress, Screen
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.relay import Relay, StageListeners, StageScheduler
from tune_sentiment.searcher import FixedSearch
from tune_sentiment.slots import Slots

TWO, ONE = Slots(2, 1, 0.0), Slots(1, 2, 0.0)


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


def relay(*courses: Any, slots: Slots = TWO, is_single: bool = False) -> Relay:
    screen = Screen(Console(file=io.StringIO()))
    return Relay(courses, slots, mode="max", screen=screen, is_single=is_single)


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


def test_a_trial_that_ray_gives_up_without_a_word_is_recorded_and_makes_room() -> None:
    given_up = stage("a")
    made = relay(Course("svm", given_up))
    trial = SimpleNamespace(
        config=made.suggest("1"), trial_id="1", status="PENDING", error_file=None
    )
    StageScheduler(made).on_trial_add(None, trial)
    listeners = StageListeners(made, lambda: 0)
    listeners.on_step_end(iteration=1, trials=[trial])
    assert asked(made, "2") == [None]
    trial.status = "ERROR"
    listeners.on_step_end(iteration=2, trials=[trial])
    assert given_up.recorder.ended == {"a"}
    assert asked(made, "2") == [Searcher.FINISHED]


def test_a_lost_node_is_allowed_for_before_ray_tune_counts_it_again() -> None:
    made, nodes = relay(Course("svm", stage("a"))), [1]
    trial = SimpleNamespace(config=made.suggest("1"), trial_id="1", status="PENDING")
    trial.max_failures, trial.last_result = 1, None
    StageScheduler(made).on_trial_add(None, trial)
    listeners = StageListeners(made, lambda: sum(nodes))
    listeners.on_trial_start(iteration=0, trials=[trial], trial=trial)
    listeners.on_trial_recover(iteration=1, trials=[trial], trial=trial)
    assert trial.max_failures == 1  # its own worker's loss
    nodes.append(1)
    listeners.on_trial_recover(iteration=2, trials=[trial], trial=trial)
    assert trial.max_failures == 3


def test_a_node_that_cannot_be_used_ends_the_run_with_its_reason() -> None:
    def look() -> None:
        raise StartError("node 10.0.0.7 does not share the results folder")

    listeners = StageListeners(relay(Course("svm", stage("a"))), lambda: 0, look)
    listeners.looked = 0.0
    with pytest.raises(Escape) as escape:
        listeners.on_step_end(iteration=1, trials=[])
    assert isinstance(escape.value.__cause__, StartError)


def test_a_single_stage_is_not_followed_by_the_next() -> None:
    made = relay(Course("svm", stage("a"), stage("b")), is_single=True)
    assert asked(made, "1") == [("svm", "a")]
    made.on_trial_complete("1")
    assert asked(made, "2") == [Searcher.FINISHED]


def test_what_happens_to_a_trial_is_told_to_its_own_study() -> None:
    first, second = stage("same"), stage("same")
    made = relay(Course("svm", first), Course("lora", second))
    listeners = StageListeners(made, lambda: 0)
    for trial in ("1", "2"):
        told = SimpleNamespace(config=made.suggest(trial), last_result=None)
        listeners.on_trial_start(iteration=0, trials=[], trial=told)
    made.on_trial_complete("2")
    assert isinstance(first.searcher, Runs)
    assert isinstance(second.searcher, Runs)
    assert (first.searcher.ended, second.searcher.ended) == ([], ["2"])
    assert set(first.recorder.running) == set(second.recorder.running) == {"same"}
