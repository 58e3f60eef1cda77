"""Several studies in one run of Ray Tune: an idle slot goes to the first study that has a trial.

Processes, and the libraries that they have loaded, pass from one study to the next; no core waits
for a study's last trial. Each study keeps a searcher, a scheduler and a recorder of its own.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune_sentiment.course import Course, Stage
from tune_sentiment.metrics import Mode
from tune_sentiment.progress import Screen
from tune_sentiment.recorder import Recorder, escaping
from tune_sentiment.searcher import OBJECTIVE
from tune_sentiment.slots import Slots
from tune_sentiment.supervisor import MAX_LOSSES

LOOK_SECONDS = 1.0  # between two looks at the cluster's nodes
FAILURES_OF_A_NODE = 2  # the most that Ray Tune counts of a trial there
STUDY = "study"  # what a trial's configuration calls the study that it belongs to


class Relay(Searcher):
    """Hands out the proposals of several studies, the first one's first.

    Args:
        courses: The studies, in their order.
        slots: What each training gets; a stage that wants others waits for another run.
        mode: ``max`` or ``min``.
        screen: Shows each stage that begins.
        is_single: Whether the run ends with each study's present stage.
    """

    def __init__(
        self,
        courses: Sequence[Course],
        slots: Slots,
        *,
        mode: Mode,
        screen: Screen,
        is_single: bool = False,
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=mode)
        self.courses, self.slots = list(courses), slots
        self.screen, self.is_single = screen, is_single
        self.stages: dict[str, Stage] = {}  # the one that runs, by the study's id
        self.recorders: list[Recorder] = []
        self.running: dict[str, Course] = {}  # by Ray's id of the trial
        self.trials: dict[str, Any] = {}  # Ray's own, as soon as it has made them

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy and never reads it."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next proposal as a trial's configuration, ``None`` to wait, or ``FINISHED``."""
        must_wait = False
        for course in self.courses:
            made = self._suggest(course, trial_id)
            if isinstance(made, dict):
                self.running[trial_id] = course
                return {**made, STUDY: course.study.id}
            must_wait = must_wait or made is None
        return None if must_wait else Searcher.FINISHED

    def _suggest(self, course: Course, trial_id: str) -> dict[str, Any] | str | None:
        while (stage := self._stage(course)) is not None:
            made = Searcher.FINISHED
            if stage.begun < stage.count:
                made = stage.searcher.suggest(trial_id)
            if made != Searcher.FINISHED:
                stage.begun += made is not None
                return made
            stage.count = stage.begun  # it is not asked again: what it says would depend on when
            if course in self.running.values():
                return None  # what comes next depends on how these end
            course.end_stage()
        return Searcher.FINISHED

    def _stage(self, course: Course) -> Stage | None:
        known = self.stages.get(course.study.id)
        if self.is_single and known is not None and course.stage is None:
            return None
        stage = course.next_stage()
        if stage is None or stage.slots != self.slots:
            return None
        if stage is not known:
            course.begin_stage()
            self.stages[course.study.id] = stage
            self.recorders.append(stage.recorder)
            self.screen.show(stage.progress)
        return stage

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an evaluation on."""
        self._searcher(trial_id).on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on how a trial ended."""
        if trial_id in self.running:
            self._searcher(trial_id).on_trial_complete(trial_id, result, error)
            del self.running[trial_id]
            self.trials.pop(trial_id, None)

    def _searcher(self, trial_id: str) -> Searcher:
        return self.stages[self.running[trial_id].study.id].searcher

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the ledger is the truth."""


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
        stage = self.relay.stages[trial.config[STUDY]]
        for listener in (stage.recorder, stage.progress):
            getattr(listener, event)(trial=trial, **info)

    return tell


class StageListeners(Callback):
    """Tells each trial's own stage what happens to it: its recorder first, then who shows it.

    Args:
        relay: Knows what runs.
        lost_nodes: Says how many nodes the cluster has lost in its life.
        look_at_nodes: Called now and then; what it raises ends the run.
    """

    def __init__(
        self,
        relay: Relay,
        lost_nodes: Callable[[], int],
        look_at_nodes: Callable[[], None] = lambda: None,
    ) -> None:
        self.relay, self.lost_nodes, self.look_at_nodes = relay, lost_nodes, look_at_nodes
        self.looked = time.monotonic()
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
        self._allow_losses()
        self.tell_recovered(iteration=iteration, trials=trials, trial=trial, **info)

    def _allow_losses(self) -> None:
        """Let a lost node not be the failure of what ran there.

        For each one a trial may fail twice more: while it is handed to its worker, Ray Tune hears
        of the worker's loss and of the task's. Ray may learn of a node's loss some time after the
        worker's, so it is asked again.
        """
        self.next_look = time.monotonic() + LOOK_SECONDS
        allowed = MAX_LOSSES - 1 + FAILURES_OF_A_NODE * (self.lost_nodes() - self.lost_before)
        for trial in self.relay.trials.values():
            trial.max_failures = allowed

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Note trials that Ray gave up without a word: those whose process could not go on."""
        if self.next_look is not None and time.monotonic() >= self.next_look:
            self._allow_losses()
        if time.monotonic() >= self.looked + LOOK_SECONDS:
            self.looked = time.monotonic()
            with escaping():
                self.look_at_nodes()
        for trial_id in list(self.relay.running):
            trial = self.relay.trials.get(trial_id)
            if trial is not None and trial.status == "ERROR":
                self.relay.on_trial_complete(trial_id, error=True)
                self.on_trial_error(iteration=iteration, trials=trials, trial=trial)
