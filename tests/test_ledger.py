import json
from pathlib import Path
from typing import Any

import pytest

from tune_sentiment import durable as module
from tune_sentiment import ledger
from tune_sentiment.durable import write_json
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.proposal import Proposal, trial_key
from tune_sentiment.records import RECORD_FIELDS, SCHEMA, Training, TrialRecord, best_trial, flat

DESIGNED = [
    "schema",
    "study",
    "number",
    "key",
    "origin",
    "status",
    "error",
    "seed",
    "evaluations_run",
    "epochs_run",
    "best_evaluation",
    "val_accuracy",
    "val_precision",
    "val_recall",
    "val_f1",
    "val_macro_precision",
    "val_macro_recall",
    "val_macro_f1",
    "val_loss",
    "train_loss",
    "train_seconds",
    "eval_seconds",
    "train_samples_per_second",
    "train_steps_per_second",
    "peak_memory_bytes",
    "num_trainable_params",
    "num_total_params",
    "started_at",
    "ended_at",
    "host",
    "device",
    "num_threads",
    "precision",
    "micro_batch_size",
    "accumulation",
    "commit",
    "versions",
]


def record(number: int = 0, **changes: Any) -> TrialRecord:
    values: dict[str, Any] = dict.fromkeys(RECORD_FIELDS)
    values |= {"schema": SCHEMA, "study": "s", "number": number, "key": f"k{number}"}
    values |= {"origin": "sampler", "status": "finished", "seed": 1, "evaluations_run": 2}
    return TrialRecord(**{**values, **changes})


def proposal(number: int) -> Proposal:
    params = {"lr": 0.1 * (number + 1)}
    return Proposal(
        number=number, key=f"k{number}", origin="sampler", params=params, seed=1, repeats=("x",)
    )


def line(sequence: int, objective: float | None) -> dict[str, Any]:
    return {"evaluation": 1, "sequence": sequence, "status": "running", "objective": objective}


def test_a_record_has_every_field_of_the_design() -> None:
    assert set(DESIGNED) <= set(RECORD_FIELDS)


def test_a_record_is_flat_json_with_null_for_what_was_not_measured(tmp_path: Path) -> None:
    StudyFolder(tmp_path).write_trial(record(3, val_f1=0.5), {"lr": 1e-4, "targets": "qv"})
    [path] = (tmp_path / "trials").iterdir()
    assert path.name == "00003-k3.json"
    stored = json.loads(path.read_text())
    assert stored == {**flat(record(3, val_f1=0.5), {}), "lr": 1e-4, "targets": "qv"}
    assert not any(isinstance(value, dict | list) for value in stored.values())
    assert stored["peak_memory_bytes"] is None


def test_a_hyperparameter_may_not_be_named_like_a_field() -> None:
    with pytest.raises(ValueError, match="seed"):
        flat(record(), {"seed": 1})


def test_numbers_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_history_knows_ended_and_open_trials_by_number(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    diverged = {**line(4, 0.5), "status": "diverged"}
    folder.write_training(Training(proposal(1), "now", [line(3, 0.5), diverged]))
    folder.write_training(Training(proposal(0), "now", [line(1, 0.6), line(2, 0.7)]))
    folder.write_trial(record(0), proposal(0).params)
    first, second = folder.history()
    assert (first.proposal, first.status) == (proposal(0), "finished")
    assert (first.objectives, first.sequences) == ((0.6, 0.7), (1, 2))
    assert (second.proposal, second.status, second.objectives) == (proposal(1), None, (0.5,))


def test_records_are_read_once_and_again_when_they_were_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder(tmp_path)
    for number in range(3):
        folder.write_trial(record(number), {})
    read: list[str] = []
    read_json = ledger.read_json
    monkeypatch.setattr(ledger, "read_json", lambda p: (read.append(p.name), read_json(p))[1])
    folder.trials()[0]["status"] = "mine"
    assert [found["status"] for found in folder.trials()] == ["finished"] * 3
    assert len(read) == 3
    folder.write_trial(record(1, status="pruned"), {})
    folder.write_trial(record(3), {})
    (tmp_path / "trials" / "00000-k0.json").unlink()
    assert [(f["number"], f["status"]) for f in folder.trials()] == [
        (1, "pruned"),
        (2, "finished"),
        (3, "finished"),
    ]
    assert read[3:] == ["00001-k1.json", "00003-k3.json"]


def test_a_failed_write_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.json"
    write_json(path, {"version": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"version": 2})
    assert json.loads(path.read_text()) == {"version": 1}


def test_a_search_that_was_used_up_stays_so_when_the_study_is_written_again(
    tmp_path: Path,
) -> None:
    folder = StudyFolder(tmp_path)
    folder.write_study({"id": "a"})
    assert not folder.is_exhausted
    folder.mark_exhausted()
    folder.write_study({"id": "a", "trials_asked": 9})
    assert folder.is_exhausted
    assert json.loads(folder.study_file.read_text())["trials_asked"] == 9


def test_test_openings_are_counted(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert folder.test_openings() == 0
    folder.log_test_opening({"key": "a"})
    folder.log_test_opening({"key": "b"})
    assert folder.test_openings() == 2


def test_the_key_depends_on_values_and_seed_and_not_on_their_order() -> None:
    assert trial_key({"a": 1, "b": 0.1}, 1) == trial_key({"b": 0.1, "a": 1}, 1)
    others = [({"a": 1, "b": 0.1}, 2), ({"a": 2, "b": 0.1}, 1), ({"a": 1}, 1)]
    keys = {trial_key(params, seed) for params, seed in others}
    assert len(keys | {trial_key({"a": 1, "b": 0.1}, 1)}) == 4


@pytest.mark.parametrize(("mode", "expected"), [("max", 1), ("min", 0)])
def test_the_best_trial_is_the_earlier_of_two_equal_ones(mode: str, expected: int) -> None:
    scores = [0.5, 0.9, 0.9, None, 0.95]
    statuses = ["finished", "pruned", "finished", "failed", "diverged"]
    records = [
        flat(record(i, val_accuracy=score, status=status), {})
        for i, (score, status) in enumerate(zip(scores, statuses, strict=True))
    ]
    found = best_trial(records, "val_accuracy", mode)
    assert found["number"] == expected
    assert best_trial(records[3:4], "val_accuracy", mode) is None


def test_tidying_leaves_alone_what_a_tracker_is_writing(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    for part in ("trials", "tracking"):
        (tmp_path / part).mkdir()
        (tmp_path / part / ".x.json.1.tmp").touch()
    folder.tidy()
    assert [path.parent.name for path in tmp_path.rglob("*.tmp")] == ["tracking"]


def test_a_comparison_is_written_when_it_changes(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert folder.comparison is None
    folder.write_comparison("| é |\n")
    first = (tmp_path / "comparison.md").stat().st_mtime_ns
    folder.write_comparison("| é |\n")
    assert (tmp_path / "comparison.md").stat().st_mtime_ns == first
    folder.write_comparison("| b |\n")
    assert folder.comparison == "| b |\n"
