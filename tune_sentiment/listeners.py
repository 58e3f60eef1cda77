"""What Ray Tune asks and tells of a trial, passed on to the stage of its own study."""

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_sentiment.errors import Escape
from tune_sentiment.relay import Relay
from tune_sentiment.supervisor import MAX_LOSSES
from tune_sentiment.trainable import STUDY

LOOK_SECONDS = 1.0  # between two looks at the cluster's nodes, once a worker was lost


class StageScheduler(FIFOScheduler):
    """Lets each trial's own stage decide when it is ended.

    Args:
        relay: Knows what runs.
    """

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self.relay, self.none = relay, FIFOScheduler()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy and never reads it."""
        return {}

    def _of(self, trial: Any) -> TrialScheduler:
        return self.relay.stages[trial.config[STUDY]].scheduler or self.none

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Enter a trial."""
        self.relay.trials[trial.trial_id] = trial
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Go on or stop."""
        if self.relay.is_pausing or trial.config[STUDY] in self.relay.failures:
            return str(TrialScheduler.STOP)
        return str(self._of(trial).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Forget a trial that ended by itself."""
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial that failed."""
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial."""
        self._of(trial).on_trial_remove(tune_controller, trial)


def _told(event: str) -> Callable[..., None]:
    def tell(self: "StageListeners", trial: Any, **info: Any) -> None:
        study_id = trial.config[STUDY]
        if study_id in self.relay.failures:
            return
        stage = self.relay.stages[study_id]
        try:
            for listener in (stage.recorder, stage.progress):
                getattr(listener, event)(trial=trial, **info)
        except Escape as escape:
            self.relay.give_up(study_id, escape)

    return tell


class StageListeners(Callback):
    """Tells each trial's own stage what happens to it: its recorder first, then who shows it.

    Args:
        relay: Knows what runs.
        lost_nodes: Says how many nodes the cluster has lost in its life.
    """

    def __init__(self, relay: Relay, lost_nodes: Callable[[], int]) -> None:
        self.relay, self.lost_nodes = relay, lost_nodes
        self.lost_before = lost_nodes()
        self.next_look: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy and never reads it."""
        return {}

    on_trial_start = _told("on_trial_start")
    on_trial_result = _told("on_trial_result")
    on_trial_complete = _told("on_trial_complete")
    on_trial_error = _told("on_trial_error")
    tell_recovered = _told("on_trial_recover")

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on that a trial goes on elsewhere."""
        self.next_look = time.monotonic()
        self.tell_recovered(iteration=iteration, trials=trials, trial=trial, **info)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Note trials that Ray gave up without a word: those whose process could not go on.

        A node that was lost is not the failure of what ran there: for each one a trial may lose a
        worker more. Ray learns of it some time after the worker's loss, so it is asked again.
        """
        if self.next_look is not None and time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + LOOK_SECONDS
            allowed = MAX_LOSSES - 1 + self.lost_nodes() - self.lost_before
            for trial in self.relay.trials.values():
                trial.max_failures = allowed
        for trial_id in list(self.relay.running):
            trial = self.relay.trials.get(trial_id)
            if trial is not None and trial.status == "ERROR":
                self.relay.on_trial_complete(trial_id, error=True)
                self.on_trial_error(iteration=iteration, trials=trials, trial=trial)
