"""What Ray Tune asks and tells of a trial, passed on to the stage of its own study."""

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_sentiment.objects import StorageError
from tune_sentiment.recorder import escaping
from tune_sentiment.relay import Relay
from tune_sentiment.reports import STORE_AWAY
from tune_sentiment.trainable import STUDY

LOOK_SECONDS = 1.0  # between two looks at the cluster's nodes


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
        self.relay.nodes.on_start(trial)
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Go on or stop.

        Ray Tune asks here first: what ends the command reaches no searcher and no ledger, and the
        trial stays open.

        Raises:
            Escape: If the trial could not go on for want of the object store.
        """
        if result.get("status") == STORE_AWAY:
            with escaping():
                raise StorageError(result["details/error"])
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
        self.relay.tell(trial.config[STUDY], event, trial=trial, **info)

    return tell


class StageListeners(Callback):
    """Tells each trial's own stage what happens to it: its recorder first, then who shows it.

    Args:
        relay: Knows what runs.
        look_at_nodes: Called now and then; what it raises ends the run.
    """

    def __init__(self, relay: Relay, look_at_nodes: Callable[[], None] = lambda: None) -> None:
        self.relay, self.look_at_nodes = relay, look_at_nodes
        self.looked = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy and never reads it."""
        return {}

    on_trial_start = _told("on_trial_start")
    on_trial_result = _told("on_trial_result")
    on_trial_complete = _told("on_trial_complete")
    on_trial_recover = _told("on_trial_recover")
    tell_of_error = _told("on_trial_error")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on that a trial has failed; of one that may have lost its node, later."""
        if trial.trial_id not in self.relay.nodes.in_doubt:
            self.tell_of_error(iteration=iteration, trials=trials, trial=trial, **info)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look at the nodes, decide about trials in doubt, and note those given up without a word.

        Those are trials whose process could not go on.
        """
        if time.monotonic() >= self.looked + LOOK_SECONDS:
            self.looked = time.monotonic()
            with escaping():
                self.look_at_nodes()
            self.relay.look()
        self.relay.settle()
        for trial_id in list(self.relay.running):
            trial = self.relay.trials.get(trial_id)
            if trial is not None and trial.status == "ERROR":
                self.relay.on_trial_complete(trial_id, error=True)
                self.on_trial_error(iteration=iteration, trials=trials, trial=trial)
