"""The ledger on a disk that fails at its n-th write, for every n: what was written stays."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_sentiment import durable
from tune_sentiment.errors import Escape
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder

pytestmark = pytest.mark.faults
SCORES = {"a": [0.6, 0.8, 0.7], "b": [0.5], "c": [0.9, 0.9, 0.95]}  # b is stopped by the scheduler
CLOCKS = {"started_at", "ended_at"}


class FailingDisk:
    """Fails at its n-th operation of a kind and at each after it, until it is mended."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails_at: int | None = None
        self.operations = 0
        write, fsync, replace = durable.write_bytes, os.fsync, Path.replace

        def written(path: Path, content: bytes) -> None:
            if self.has_failed():
                unfinished = path.with_name(f".{path.name}.{os.getpid()}{durable.UNFINISHED}")
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.symlink_to("/dev/full")
            write(path, content)

        def flushed(descriptor: int) -> None:
            if self.has_failed():
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(descriptor)

        def renamed(path: Path, target: Path) -> Path:
            if self.has_failed():
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return replace(path, target)

        if kind == "write":
            monkeypatch.setattr(durable, "write_bytes", written)
        elif kind == "flush":
            monkeypatch.setattr(durable.os, "fsync", flushed)
        else:
            monkeypatch.setattr(Path, "replace", renamed)

    def has_failed(self) -> bool:
        self.operations += 1
        return self.fails_at is not None and self.operations >= self.fails_at


def search(folder: StudyFolder) -> None:
    """What Ray Tune tells the recorder of three trials; those with a record are not begun."""
    folder.tidy()
    ended = {record["key"] for record in folder.trials()}
    recorder = Recorder(
        study_id="s",
        metric="val_accuracy",
        defaults={},
        write_record=folder.write_trial,
        write_training=folder.write_training,
        is_stopped=lambda key: key == "b",
        sequence=sum(len(made.lines) for made in folder.trainings()),
        begun=[made for made in folder.trainings() if made.proposal.key not in ended],
    )
    recorder.close_ended()
    ended |= recorder.ended
    for number, (key, scores) in enumerate(SCORES.items()):
        if key in ended:
            continue
        proposal = Proposal(number=number, key=key, origin="sampler", params={"lr": 0.1}, seed=1)
        trial = SimpleNamespace(config=proposal.as_dict(), last_result={}, error_file=None)
        recorder.on_trial_start(0, [], trial)
        for evaluation, score in enumerate(scores, start=1):
            result = {
                "evaluation": evaluation,
                "status": "finished" if evaluation == 3 else "running",
                "objective": max(scores[:evaluation]),
                "details": {"metrics": {"val_accuracy": score}},
            }
            recorder.on_trial_result(0, [], trial, result)
        recorder.on_trial_complete(0, [], trial)


def kept(folder: StudyFolder) -> list[dict[str, Any]]:
    return [{n: v for n, v in record.items() if n not in CLOCKS} for record in folder.trials()]


@pytest.mark.fault("disk-fails")
@pytest.mark.parametrize("kind", ["write", "flush", "rename"])
def test_a_disk_that_fails_at_any_write_costs_nothing_that_was_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(kind, monkeypatch)
    whole = StudyFolder(tmp_path / "whole")
    search(whole)
    assert [record["status"] for record in kept(whole)] == ["finished", "pruned", "finished"]
    operations = disk.operations
    assert operations >= 12
    for n in range(1, operations + 1):
        folder = StudyFolder(tmp_path / f"{n}")
        fails(disk, n, lambda folder=folder: search(folder))
        before = kept(folder)
        assert before == kept(whole)[: len(before)]
        search(folder)
        assert kept(folder) == kept(whole)
        lines = {made.proposal.key: len(made.lines) for made in folder.trainings()}
        assert lines == {key: len(scores) for key, scores in SCORES.items()}
        assert not list(folder.path.rglob(".*.tmp"))


def fails(disk: FailingDisk, n: int, action: Callable[[], None]) -> None:
    disk.operations, disk.fails_at = 0, n
    with pytest.raises(Escape) as caught:
        action()
    assert isinstance(caught.value.__cause__, OSError)
    disk.fails_at = None
