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
        self.trainings: dict[str, Training] = {}
        self.supervisor = Supervisor(self.said.append)

    def dies(self, error: Exception, **running: int) -> None:
        """One run of Ray Tune that dies while the named trials run in the given processes."""
        recorder = Recorder(
            study_id="s",
            defaults={},
            write_record=lambda record, params: self.records.update({record.key: record}),
            write_training=lambda made: self.trainings.update({made.proposal.key: made}),
            begun=[made for key, made in self.trainings.items() if key not in self.records],
        )
        with self.supervisor.watch(recorder):
            for key, pid in running.items():
                made = Proposal(number=0, key=key, origin="sampler", params={}, seed=1)
                trial = SimpleNamespace(config=made.as_dict(), last_result={"pid": pid})
                recorder.on_trial_start(0, [], trial)
            raise error


def out_of_memory(pid: int) -> RuntimeError:
    error = RuntimeError("Caught unexpected exception")
    error.__cause__ = OutOfMemoryError(f"low on memory. Selected to kill: (task, pid={pid}, 2GB)")
    return error


def test_a_trial_that_ray_names_twice_is_left_out_and_the_one_beside_it_is_not() -> None:
    study = Study()
    study.dies(out_of_memory(11), big=11, small=12)
    assert study.records == {}
    assert study.supervisor.has_died
    assert not study.supervisor.has_suspects
    study.dies(out_of_memory(21), big=21, small=22)
    assert list(study.records) == ["big"]
    assert study.records["big"].status == "oom"
    assert "low on memory" in study.records["big"].error


def test_where_no_trial_is_named_all_are_suspects_until_one_dies_alone() -> None:
    study = Study()
    study.dies(RuntimeError("lost"), one=1, two=2)
    assert study.supervisor.has_suspects
    study.dies(RuntimeError("lost"), one=3)
    assert not study.supervisor.has_suspects
    assert {key: record.status for key, record in study.records.items()} == {"one": "failed"}


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
    with study.supervisor.watch(Recorder.__new__(Recorder)):
        pass
    assert not study.supervisor.has_died
    assert len(study.said) == 2
