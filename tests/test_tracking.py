"""What is told to a tracker, and that it is told once: with one that keeps it in a list."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.growing import Growing
from tune_sentiment.durable import write_json
from tune_sentiment.errors import UsageError
from tune_sentiment.lock import held
from tune_sentiment.trackers import TRACKERS, TrackerSource, chosen_trackers
from tune_sentiment.tracking.log import Log
from tune_sentiment.tracking.view import StudyView, TrainingView


class ListTracker:
    """Keeps what it is told: name, evaluations beyond those that are known, status, test score."""

    is_live = True
    where = "somewhere"
    broken: tuple[str, ...] = ()  # names that it refuses
    told: list[Any]

    def __init__(self, folder: Path, project: str) -> None:
        assert folder.name == "tracking"

    def log(self, training: TrainingView, known: int) -> None:
        if training.name in self.broken:
            raise OSError(f"no place\nfor {training.name}")
        new = list(range(known + 1, len(training.steps) + 1))
        record = training.record or {}
        self.told.append((training.name, new, record.get("status"), record.get("test_accuracy")))

    def log_table(self, study: StudyView) -> None:
        self.told.append(study.table)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> type[ListTracker]:
    made = type("Made", (ListTracker,), {"told": []})
    monkeypatch.setattr("tests.test_tracking.Chosen", made, raising=False)
    monkeypatch.setitem(TRACKERS, "list", TrackerSource("tests.test_tracking:Chosen", ()))
    return made


class Logging:
    """A growing study and what logs it, anew for each pass unless told otherwise."""

    def __init__(self, root: Path, tracker: type[ListTracker]) -> None:
        self.study, self.tracker = Growing(root), tracker
        self.said: list[str] = []
        self.log = self.fresh()

    def fresh(self, project: str = "p") -> Log:
        return Log("list", project, [self.study.folder.path], self.said.append)

    def told(self, *, is_last: bool = False, log: Log | None = None) -> list[Any]:
        self.tracker.told.clear()
        (log or self.fresh()).run(is_last=is_last)
        return list(self.tracker.told)


@pytest.fixture
def logging(tmp_path: Path, tracker: type[ListTracker]) -> Logging:
    return Logging(tmp_path, tracker)


def test_an_evaluation_is_logged_once_wherever_the_study_was_cut(logging: Logging) -> None:
    study = logging.study
    trial = study.begin(0)
    assert logging.told() == []
    study.evaluate(trial, 0.5)
    study.evaluate(trial, 0.6)
    assert logging.told() == [("trial 0", [1, 2], None, None)]
    assert logging.told(is_last=True) == []
    study.evaluate(trial, 0.7, "finished")
    study.end(trial, "finished")
    assert logging.told() == [("trial 0", [3], "finished", None)]
    assert logging.told() == logging.told(is_last=True) == []


def test_a_tracker_that_is_not_live_is_told_of_a_trial_when_it_stands_still(
    logging: Logging,
) -> None:
    logging.tracker.is_live = False
    running, ended = logging.study.begin(0), logging.study.begin(1)
    logging.study.evaluate(running, 0.5)
    logging.study.evaluate(ended, 0.6)
    logging.study.end(ended, "pruned")
    assert logging.told() == [("trial 1", [1], "pruned", None)]
    assert logging.told(is_last=True) == [("trial 0", [1], None, None)]


def test_a_confirmation_run_ends_with_its_test_score(logging: Logging) -> None:
    run = logging.study.confirm(3)
    logging.study.evaluate(run, 0.6, "finished")
    logging.study.end(run, "finished", test_accuracy=None)
    name = "confirm 3 seed 43"
    assert logging.told() == [(name, [1], None, None)]
    assert logging.told() == []
    assert logging.told(is_last=True) == [(name, [], "finished", None)]
    logging.study.end(run, "finished", test_accuracy=0.55)
    assert logging.told() == []
    assert logging.told(is_last=True) == [(name, [], "finished", 0.55)]
    assert logging.told(is_last=True) == []


def test_the_table_is_logged_when_it_changes(logging: Logging) -> None:
    assert logging.told() == []
    for table in ("| a |", "| b |"):
        logging.study.folder.write_comparison(table)
        assert logging.told() == [table]
        assert logging.told() == []


def test_what_fails_is_said_in_one_line_and_tried_again(logging: Logging) -> None:
    for number in range(3):
        logging.study.evaluate(logging.study.begin(number), 0.5)
    logging.tracker.broken = ("trial 1",)
    assert [told[0] for told in logging.told(log=logging.log)] == ["trial 0", "trial 2"]
    assert logging.told(log=logging.log) == []
    assert logging.said == ["list: lora trial 1 was not logged: OSError: no place for trial 1"]
    logging.tracker.broken = ()
    assert logging.told(log=logging.log) == [("trial 1", [1], None, None)]


def test_a_tracker_that_fails_three_times_is_left_alone_until_the_next_pass(
    logging: Logging,
) -> None:
    for number in range(9):
        logging.study.evaluate(logging.study.begin(number), 0.5)
    logging.tracker.broken = tuple(f"trial {number}" for number in range(4))
    assert logging.told() == []
    assert len(logging.said) == 3


def test_a_study_that_is_broken_keeps_no_other_from_being_logged(
    tmp_path: Path, logging: Logging
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.json").write_text("{")
    logging.study.evaluate(logging.study.begin(0), 0.5)
    folders = [tmp_path / name for name in ("broken", "not-there-yet", "lora")]
    log = Log("list", "p", folders, logging.said.append)
    assert logging.told(log=log) == [("trial 0", [1], None, None)]
    [line] = logging.said
    assert line.startswith("list: broken was not logged: JSONDecodeError: ")


def test_a_ledger_that_nobody_wrote_is_not_read_again(logging: Logging) -> None:
    study, log = logging.study, logging.log
    trial = study.begin(0)
    study.evaluate(trial, 0.5)
    assert len(logging.told(log=log)) == 1
    assert logging.told(log=log) == []  # it saw the folder that the first pass made
    study.folder.tracking_file("list").unlink()
    assert logging.told(log=log) == []
    study.evaluate(trial, 0.6)
    assert logging.told(log=log) == [("trial 0", [1, 2], None, None)]


def test_each_place_gets_everything_and_its_name_is_not_written(
    logging: Logging, tmp_path: Path
) -> None:
    logging.study.evaluate(logging.study.begin(0), 0.5)
    for where in ("https://me:password@one", "https://me:password@two"):
        logging.tracker.where = where
        assert len(logging.told()) == 1
        assert logging.told() == []
    text = logging.study.folder.tracking_file("list").read_text()
    assert len(json.loads(text)) == 2
    assert "password" not in text


def test_two_processes_do_not_log_a_study_at_once(logging: Logging) -> None:
    logging.study.evaluate(logging.study.begin(0), 0.5)
    lock = logging.study.folder.tracking_file("list").with_suffix(".lock")
    with held(lock, "it is being logged"):
        assert logging.told() == []
    [line] = logging.said
    assert "list: lora was not logged: it is being logged by process " in line
    assert len(logging.told()) == 1


def test_trackers_are_taken_once_in_their_order() -> None:
    assert chosen_trackers(None) == []
    assert chosen_trackers("tensorboard, wandb,tensorboard") == ["wandb", "tensorboard"]


def test_a_tracker_that_is_not_installed_is_refused_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = TrackerSource("tune_sentiment.tracking.wandb:WandbTracker", ("no_such_package",))
    monkeypatch.setitem(TRACKERS, "wandb", source)
    with pytest.raises(UsageError, match=r"pip install 'tune_sentiment\[wandb\]'"):
        chosen_trackers("mlflow,wandb")


def test_notes_are_written_after_the_tracker_has_it(
    logging: Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.study.evaluate(logging.study.begin(0), 0.5)

    def full(path: Path, value: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("tune_sentiment.tracking.log.write_json", full)
    assert len(logging.told()) == 1
    monkeypatch.setattr("tune_sentiment.tracking.log.write_json", write_json)
    assert len(logging.told()) == 1  # once more rather than never
