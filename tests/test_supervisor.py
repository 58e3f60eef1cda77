from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfMemoryError

from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.records import Training
from tune_sentiment.supervisor import MAX_FRUITLESS, Supervisor


class Study:
    """A recorder of a study with trials under way, each in a process of its own."""

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}
        self.said: list[str] = []
        self.places: dict[str, str] = {}  # addresses of nodes, by key
        self.trainings: dict[str, Training] = {}
        self.supervisor = Supervisor(self.said.append)

    def dies(self, error: Exception, **running: int) -> None:
        """One run of Ray Tune that dies while the named trials run in the given processes."""
        recorder = Recorder(
            study_id="s",
            metric="val_accuracy",
            defaults={},
            write_record=lambda record, params: self.records.update({record.key: record}),
            write_training=lambda made: self.trainings.update({made.proposal.key: made}),
            begun=[made for key, made in self.trainings.items() if key not in self.records],
        )
        with self.supervisor.watch([recorder]):
            for key, pid in running.items():
                made = Proposal(number=0, key=key, origin="sampler", params={}, seed=1)
                where = {"pid": pid, "node_ip": self.places.get(key, "10.0.0.1")}
                trial = SimpleNamespace(config=made.as_dict(), last_result=where)
                recorder.on_trial_start(0, [], trial)
            raise error


def out_of_memory(killed: int, *considered: int) -> RuntimeError:
    """As Ray 2.60 tells it: every worker that it looked at, the newest of which it killed."""
    workers = [f"Selected to kill: (Actor(0a): task name=f, pid={killed}, worker ID=0b)"]
    workers += [f"(Actor(0c): task name=f, pid={pid}, worker ID=0d)" for pid in considered]
    error = RuntimeError("Caught unexpected exception")
    place = "Memory on the node (IP: 10.0.0.1, ID: 0e) was 23.1GB used / 23.2GB limit (0.95)"
    words = ["1 worker(s) were killed, low on memory.", place, "Considered workers: [", *workers]
    told = "\n".join(words)
    error.__cause__ = OutOfMemoryError(told)
    return error


def test_a_trial_that_dies_alone_after_it_was_killed_is_left_out() -> None:
    study = Study()
    study.dies(out_of_memory(11, 12), big=11, small=12)
    assert study.records == {}
    assert study.supervisor.suspects("s", ["big", "small"]) == {"big"}
    study.dies(out_of_memory(21), big=21)
    assert list(study.records) == ["big"]
    assert study.records["big"].status == "oom"
    assert "low on memory" in study.records["big"].error


def test_a_trial_that_was_killed_beside_greedier_ones_is_never_left_out_for_that() -> None:
    study = Study()
    for _ in range(2):
        study.dies(out_of_memory(12, 11), big=11, small=12)
    assert study.records == {}
    assert study.supervisor.suspects("s", ["big", "small"]) == {"small"}


def test_a_process_of_the_same_number_on_another_node_is_not_suspected() -> None:
    study = Study()
    study.places = {"there": "10.0.0.2"}
    study.dies(out_of_memory(11), here=11, there=11)
    assert study.supervisor.suspects("s", ["here", "there"]) == {"here"}


def test_where_no_trial_is_named_all_are_suspects_until_one_dies_alone() -> None:
    study = Study()
    study.dies(RuntimeError("lost"), one=1, two=2)
    assert study.supervisor.suspects("s", ["one", "two", "three"]) == {"one", "two"}
    study.dies(RuntimeError("lost"), one=3)
    assert {key: record.status for key, record in study.records.items()} == {"one": "failed"}


def test_runs_that_end_well_in_between_are_not_in_a_row() -> None:
    study = Study()
    for _ in range(MAX_FRUITLESS + 1):
        study.dies(RuntimeError("lost"), one=1, two=2)
        with study.supervisor.watch([]):
            pass
    assert study.records == {}


def test_of_a_traceback_its_end_is_the_reason() -> None:
    study = Study()
    study.dies(
        RuntimeError("Traceback (most recent call last):\n  File\nValueError: no such thing")
    )
    assert study.said[0] == "Ray Tune ended: ValueError: no such thing"


def test_runs_that_die_of_nothing_in_particular_end_the_study_after_a_few() -> None:
    study = Study()
    for _ in range(MAX_FRUITLESS - 1):
        study.dies(RuntimeError("no cluster"))
    with pytest.raises(StartError, match=f"ended {MAX_FRUITLESS} times in a row: no cluster"):
        study.dies(RuntimeError("no cluster"))
    assert study.records == {}


def test_what_the_user_must_mend_is_not_tried_again() -> None:
    with pytest.raises(UsageError):
        Study().dies(UsageError("wrong"))
    with pytest.raises(KeyError):
        Study().dies(KeyError("a bug"))


def test_a_run_that_ends_well_says_nothing() -> None:
    study = Study()
    study.dies(RuntimeError("lost"), one=1)
    with study.supervisor.watch([]):
        pass
    assert not study.supervisor.has_died
    assert len(study.said) == 2
