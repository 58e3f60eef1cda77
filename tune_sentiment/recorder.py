"""Turns what Ray tells the driver into the ledger's records: one record for each ended training."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.tune import Callback

from tune_sentiment.errors import Escape
from tune_sentiment.proposal import Proposal
from tune_sentiment.records import LONGEST_ERROR, Training, TrialRecord
from tune_sentiment.trainable import GPUS


class Recorder(Callback):
    """Writes evaluations as they come, and a record when a training has ended.

    A training that neither ended by itself nor was ended by the scheduler stays open: a time
    budget or a signal cut it off.

    Args:
        study_id: Named in every record.
        metric: Name of the searched metric.
        defaults: Hyperparameters that no proposal names.
        write_record: Takes a record and its hyperparameters.
        write_training: Takes a training with its evaluations so far.
        is_stopped: Whether the scheduler ended the training with a key.
        sequence: Evaluations that the study has made before.
        begun: Trainings that an earlier session left open.
    """

    def __init__(
        self,
        *,
        study_id: str,
        metric: str,
        defaults: Mapping[str, Any],
        write_record: Callable[[TrialRecord, Mapping[str, Any]], None],
        write_training: Callable[[Training], None],
        is_stopped: Callable[[str], bool] = lambda key: False,
        sequence: int = 0,
        begun: Iterable[Training] = (),
    ) -> None:
        self.study_id, self.metric, self.defaults = study_id, metric, defaults
        self.write_record, self.write_training = write_record, write_training
        self.is_stopped = is_stopped
        self.sequence = sequence
        self.trainings = {training.proposal.key: training for training in begun}
        self.running: dict[str, tuple[Any, Any]] = {}  # and the node and process that it runs in
        self.reported: set[str] = set()
        self.ended: set[str] = set()
        self.left_open: set[str] = set()  # those that the next stage takes up

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy of every callback and never reads it."""
        return {}

    def close_ended(self) -> None:
        """Record trainings whose end is known but was not written any more.

        The command can be killed between an evaluation and what follows from it: the training's
        own end, or the scheduler's decision to stop it.
        """
        for training in list(self.trainings.values()):
            if status := self._end_of(training):
                self._record(training, status)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note what was proposed, so that an open training can go on later."""
        with escaping():
            training = self._training(trial)
            self.running[training.proposal.key] = _process(trial.last_result or {})
            self.reported.discard(training.proposal.key)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note an evaluation."""
        with escaping():
            training = self._training(trial)
            self.reported.add(training.proposal.key)
            self.running[training.proposal.key] = _process(result)  # after a loss, a new one
            got = {GPUS: trial.config.get(GPUS), **result["details"]}
            if training.note({**result, "details": got}, self.sequence + 1):
                self.sequence += 1
                self.write_training(training)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record how a training ended."""
        with escaping():
            training = self._training(trial)
            self.running.pop(training.proposal.key, None)
            if status := self._end_of(training):
                self._record(training, status)
            elif training.proposal.key not in self.reported:
                self._record(training, "failed", "the trial ended without a report")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a training that raised, or lost its worker for the last time."""
        with escaping():
            training = self._training(trial)
            self.running.pop(training.proposal.key, None)
            self._record(training, self._end_of(training) or "failed", _last_error(trial))

    def on_trial_cut_off(self, trial: Any, **info: Any) -> None:
        """Leave a training open that lost its node."""
        self.running.pop(trial.config["key"], None)

    def end(self, key: str, status: str, error: str) -> None:
        """Record a training that is to be left out from now on."""
        self._record(self.trainings[key], status, error)

    def _training(self, trial: Any) -> Training:
        """The training behind Ray's trial; a new one is written down at once."""
        proposal = Proposal.from_dict(trial.config)
        if proposal.key not in self.trainings:
            self.trainings[proposal.key] = Training(proposal)
            self.write_training(self.trainings[proposal.key])
        return self.trainings[proposal.key]

    def _end_of(self, training: Training) -> str | None:
        """How a training ended by its own account or the scheduler's; ``None`` if it is open."""
        is_stopped = bool(training.lines) and self.is_stopped(training.proposal.key)
        return training.status or ("pruned" if is_stopped else None)

    def _record(self, training: Training, status: str, error: str | None = None) -> None:
        shown = error[:LONGEST_ERROR] if error and status in ("failed", "oom") else None
        made = training.record(self.study_id, self.metric, status, shown, self.defaults)
        self.write_record(*made)
        self.ended.add(training.proposal.key)
        del self.trainings[training.proposal.key]


def _process(result: Mapping[str, Any]) -> tuple[Any, Any]:
    """Address of the node, and the process there: numbers of processes mean nothing elsewhere."""
    return result.get("node_ip"), result.get("pid")


def _last_error(trial: Any) -> str:
    """The last line of what Ray wrote of a trial's errors, here and at once.

    Its own ``get_error`` reads a copy that is made every now and then.
    """
    path = Path(trial.error_file or "")
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return next((line for line in reversed(lines) if line.strip()), "unknown error").strip()


@contextmanager
def escaping() -> Generator[None, None, None]:
    """Carry an error of ours out through Ray Tune, which would take it for the trial's."""
    try:
        yield
    except Exception as error:
        raise Escape from error
