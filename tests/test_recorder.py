import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder


class Kept:
    """A recorder and everything it wrote."""

    def __init__(self, stopped: frozenset[str] = frozenset()) -> None:
        self.records: list[Any] = []
        self.params: list[dict[str, Any]] = []
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.recorder = Recorder(
            study_id="s",
            metric="val_accuracy",
            defaults={"schedule": "linear"},
            write_record=lambda record, params: (
                self.records.append(record) or self.params.append(dict(params))
            ),
            write_training=lambda made: self.lines.update({made.proposal.key: list(made.lines)}),
            is_stopped=lambda key: key in stopped,
        )

    def start(self, key: str = "k") -> Any:
        proposal = Proposal(number=0, key=key, origin="sampler", params={"lr": 0.1}, seed=1)
        trial = SimpleNamespace(config=proposal.as_dict(), last_result={}, error_file=None)
        self.recorder.on_trial_start(0, [], trial)
        return trial

    def tell(self, trial: Any, evaluation: int, status: str, value: float, best: float) -> None:
        metrics = {} if math.isnan(value) else {"val_accuracy": value, "val_loss": 1 - value}
        details = {"metrics": metrics, "epochs_run": float(evaluation), "train_seconds": 2.0}
        report = {"status": status, "evaluation": evaluation, "objective": best, "details": details}
        self.recorder.on_trial_result(0, [], trial, report)


def test_the_record_holds_the_metrics_of_the_best_evaluation() -> None:
    kept = Kept()
    trial = kept.start()
    for evaluation, (value, best) in enumerate([(0.6, 0.6), (0.8, 0.8), (0.7, 0.8)], start=1):
        kept.tell(trial, evaluation, "finished" if evaluation == 3 else "running", value, best)
    kept.recorder.on_trial_complete(0, [], trial)
    [record] = kept.records
    assert (record.status, record.best_evaluation, record.evaluations_run) == ("finished", 2, 3)
    assert (record.val_accuracy, record.val_loss) == (0.8, pytest.approx(0.2))
    assert (record.epochs_run, record.error) == (3.0, None)
    assert [line["sequence"] for line in kept.lines["k"]] == [1, 2, 3]


def test_a_confirmation_run_has_the_scores_of_what_it_ended_as() -> None:
    kept = Kept()
    trial = kept.start()
    trial.config["origin"] = "confirm"
    kept.recorder.trainings.clear()
    for evaluation, (value, best) in enumerate([(0.8, 0.8), (0.7, 0.8)], start=1):
        kept.tell(trial, evaluation, "finished" if evaluation == 2 else "running", value, best)
    kept.recorder.on_trial_complete(0, [], trial)
    [record] = kept.records
    assert (record.best_evaluation, record.val_accuracy) == (2, 0.7)


def test_a_training_that_goes_on_does_not_note_an_evaluation_twice() -> None:
    kept = Kept()
    trial = kept.start()
    for evaluation, status in [(1, "running"), (2, "running"), (2, "running"), (3, "finished")]:
        kept.tell(trial, evaluation, status, 0.5 + evaluation / 10, 0.5 + evaluation / 10)
    kept.recorder.on_trial_complete(0, [], trial)
    assert [line["evaluation"] for line in kept.lines["k"]] == [1, 2, 3]
    assert kept.records[0].evaluations_run == 3


def test_the_record_says_what_share_of_a_gpu_the_training_got_last() -> None:
    kept = Kept()
    trial = kept.start()
    for evaluation, share in ((1, 0.5), (2, 0.25)):  # it went on beside more trainings
        trial.config["gpus"] = share
        kept.tell(trial, evaluation, "finished" if evaluation == 2 else "running", 0.5, 0.5)
    kept.recorder.on_trial_complete(0, [], trial)
    assert [line["gpus"] for line in kept.lines["k"]] == [0.5, 0.25]
    assert kept.records[0].gpus == 0.25


def test_an_end_that_was_not_written_is_written_at_the_next_start() -> None:
    kept, stopped = Kept(), Kept(stopped=frozenset({"k"}))
    ended, left = Kept(), Kept()
    for each, status in (
        (kept, "finished"),
        (stopped, "running"),
        (ended, "oom"),
        (left, "running"),
    ):
        each.tell(each.start(), 1, status, 0.6, 0.6)
        each.recorder.close_ended()
    found = [[record.status for record in each.records] for each in (kept, stopped, ended, left)]
    assert found == [["finished"], ["pruned"], ["oom"], []]


def test_a_training_that_was_begun_before_and_returns_without_a_report_has_failed() -> None:
    kept = Kept()
    kept.tell(kept.start(), 1, "running", 0.6, 0.6)
    kept.recorder.on_trial_complete(0, [], kept.start())
    assert [record.status for record in kept.records] == ["failed"]


def test_a_trial_that_the_scheduler_ended_is_pruned() -> None:
    kept = Kept(stopped=frozenset({"k"}))
    trial = kept.start()
    kept.tell(trial, 1, "running", 0.6, 0.6)
    kept.recorder.on_trial_complete(0, [], trial)
    assert [record.status for record in kept.records] == ["pruned"]


def test_a_trial_that_something_else_cut_off_stays_open() -> None:
    kept = Kept()
    trial = kept.start()
    kept.tell(trial, 1, "running", 0.6, 0.6)
    kept.recorder.on_trial_complete(0, [], trial)
    assert kept.records == []
    assert len(kept.lines["k"]) == 1


def test_a_diverged_trial_keeps_what_it_reached_and_writes_no_nan() -> None:
    kept = Kept()
    trial = kept.start()
    kept.tell(trial, 1, "running", 0.6, 0.6)
    kept.tell(trial, 2, "diverged", math.nan, 0.6)
    kept.recorder.on_trial_complete(0, [], trial)
    [record] = kept.records
    assert (record.status, record.val_accuracy, record.best_evaluation) == ("diverged", 0.6, 1)


def test_a_trial_that_diverged_at_once_has_null_metrics() -> None:
    kept = Kept()
    trial = kept.start()
    kept.tell(trial, 1, "diverged", math.nan, math.nan)
    kept.recorder.on_trial_complete(0, [], trial)
    [record] = kept.records
    assert (record.status, record.val_accuracy, record.best_evaluation) == ("diverged", None, None)
    assert kept.lines["k"][0]["objective"] is None


def test_an_error_is_recorded_with_its_last_line(tmp_path: Path) -> None:
    kept = Kept()
    trial = kept.start()
    trial.error_file = tmp_path / "error.txt"
    trial.error_file.write_text("Failure # 1\nTraceback ...\nValueError: what went wrong\n\n")
    kept.recorder.on_trial_error(0, [], trial)
    [record] = kept.records
    assert (record.status, record.error) == ("failed", "ValueError: what went wrong")


def test_a_trial_whose_worker_never_came_up_has_failed_and_can_be_found(tmp_path: Path) -> None:
    kept = Kept()
    proposal = Proposal(number=4, key="k", origin="sampler", params={"lr": 0.1}, seed=1)
    path = tmp_path / "error.txt"
    path.write_text("ActorDiedError: gone")
    trial = SimpleNamespace(config=proposal.as_dict(), error_file=path)
    kept.recorder.on_trial_error(0, [], trial)
    [record] = kept.records
    assert (record.status, record.error, record.number) == ("failed", "ActorDiedError: gone", 4)
    assert kept.lines == {"k": []}


def test_hyperparameters_that_nobody_named_are_recorded_with_their_defaults() -> None:
    kept = Kept()
    kept.recorder.on_trial_complete(0, [], kept.start())
    assert kept.params == [{"schedule": "linear", "lr": 0.1}]


def test_a_trial_without_a_report_has_failed() -> None:
    kept = Kept()
    trial = kept.start()
    kept.recorder.on_trial_complete(0, [], trial)
    assert [record.status for record in kept.records] == ["failed"]
