"""Several studies in one run of Ray Tune: an idle slot goes to the first study that has a trial.

Processes, and the libraries that they have loaded, pass from one study to the next; no core waits
for a study's last trial. Each study keeps a searcher, a scheduler and a recorder of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune_sentiment.course import Course, Stage
from tune_sentiment.metrics import Mode
from tune_sentiment.nodes import LostNodes
from tune_sentiment.progress import Screen
from tune_sentiment.recorder import Recorder
from tune_sentiment.searcher import OBJECTIVE
from tune_sentiment.slots import Slots

STUDY = "study"  # what a trial's configuration calls the study that it belongs to


class Relay(Searcher):
    """Hands out the proposals of several studies, the first one's first.

    Args:
        courses: The studies, in their order.
        slots: What each training gets; a stage that wants others waits for another run.
        mode: ``max`` or ``min``.
        screen: Shows each stage that begins.
        is_single: Whether the run ends with each study's present stage.
        nodes: Tells trials that fail from those that lost their node.
    """

    def __init__(
        self,
        courses: Sequence[Course],
        slots: Slots,
        *,
        mode: Mode,
        screen: Screen,
        is_single: bool = False,
        nodes: LostNodes,
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=mode)
        self.courses, self.slots = list(courses), slots
        self.screen, self.is_single, self.nodes = screen, is_single, nodes
        self.stages: dict[str, Stage] = {}  # the one that runs, by the study's id
        self.recorders: list[Recorder] = []
        self.running: dict[str, Course] = {}  # by Ray's id of the trial
        self.trials: dict[str, Any] = {}  # Ray's own, as soon as it has made them
        self.in_doubt: set[str] = set()  # trials that Ray gave up: failed, or without their node

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy and never reads it."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next proposal as a trial's configuration, ``None`` to wait, or ``FINISHED``."""
        self.settle()  # Ray Tune does nothing else while it waits for a trial
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
        self._stage_of(trial_id).searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on how a trial ended; of one that may have lost its node, later."""
        if trial_id not in self.running or trial_id in self.in_doubt:
            return
        trial = self.trials.get(trial_id)
        if error and trial is not None and self.nodes.may_be_bereft(trial):
            self.in_doubt.add(trial_id)
            return
        self._stage_of(trial_id).searcher.on_trial_complete(trial_id, result, error)
        self._forget(trial_id)

    def settle(self) -> None:
        """End the doubt about trials, as soon as it is known what has become of their nodes.

        One that has lost its node has not ended: the study's next stage, planned from the ledger,
        takes it up where it was.
        """
        for trial_id in list(self.in_doubt):
            trial, stage = self.trials[trial_id], self._stage_of(trial_id)
            is_bereft = self.nodes.is_bereft(trial)
            if is_bereft is None:
                continue
            if is_bereft:
                stage.recorder.left_open.add(trial.config["key"])
            else:
                stage.searcher.on_trial_complete(trial_id, error=True)
            event = "on_trial_cut_off" if is_bereft else "on_trial_error"
            stage.tell(event, iteration=0, trials=[], trial=trial)
            self.in_doubt.discard(trial_id)
            self._forget(trial_id)

    def _forget(self, trial_id: str) -> None:
        del self.running[trial_id]
        self.trials.pop(trial_id, None)

    def _stage_of(self, trial_id: str) -> Stage:
        return self.stages[self.running[trial_id].study.id]

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
        self.relay.nodes.on_start(trial)
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
        self.relay.stages[trial.config[STUDY]].tell(event, trial=trial, **info)

    return tell


class StageListeners(Callback):
    """Tells each trial's own stage what happens to it: its recorder first, then who shows it.

    Args:
        relay: Knows what runs.
    """

    def __init__(self, relay: Relay) -> None:
        self.relay = relay

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
        if trial.trial_id not in self.relay.in_doubt:
            self.tell_of_error(iteration=iteration, trials=trials, trial=trial, **info)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Decide about trials in doubt, and note those that Ray gave up without a word.

        Those are trials whose process could not go on.
        """
        self.relay.settle()
        for trial_id in list(self.relay.running):
            trial = self.relay.trials.get(trial_id)
            if trial_id in self.relay.in_doubt or trial is None:
                continue
            if trial.status == "ERROR":
                self.relay.on_trial_complete(trial_id, error=True)
                self.on_trial_error(iteration=iteration, trials=trials, trial=trial)
