"""Several studies in one run of Ray Tune, with a fair share of slots each.

An idle slot goes to the study with the fewest trainings under way, the first of equal ones: each is
searched as little in parallel as there is work for all (a sampler that has seen how the trials
before ended proposes better), and what one leaves idle the others take. With fewer slots than
studies the first ones keep them, so results come study by study; with one slot the studies follow
one another.

Trainings of different sizes share the run, and processes with the libraries that they have loaded
pass from one study to the next; no core waits for a study's last trial. Each study keeps a
searcher, a scheduler and a recorder of its own, and fails by itself.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ray.tune.search import Searcher

from tune_sentiment.course import Course
from tune_sentiment.errors import Escape
from tune_sentiment.failures import Failures
from tune_sentiment.lost_nodes import LostNodes
from tune_sentiment.machines import room
from tune_sentiment.metrics import Mode
from tune_sentiment.progress import say
from tune_sentiment.recorder import Recorder
from tune_sentiment.screen import LEFT_OUT, TRAINED, Screen
from tune_sentiment.searcher import OBJECTIVE
from tune_sentiment.slots import Room
from tune_sentiment.stage import Stage
from tune_sentiment.trainable import CPUS, GPUS, STUDY

PAUSE_SECONDS = 600.0  # of a run, after which a comparison that is trained is not kept waiting


class Relay(Searcher):
    """Hands out the proposals of several studies.

    Args:
        courses: The studies, in their order.
        room: What their trainings share; looked at again as nodes join.
        mode: ``max`` or ``min``.
        screen: Shows each stage that begins.
        is_single: Whether the run ends with each study's present stage.
        nodes: Tells trials that fail from those that lost their node.
        failures: Takes studies that cannot go on.
    """

    def __init__(
        self,
        courses: Sequence[Course],
        room: Room,
        *,
        mode: Mode,
        screen: Screen,
        is_single: bool = False,
        nodes: LostNodes,
        failures: Failures | None = None,
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=mode)
        self.courses, self.room = list(courses), room
        self.screen, self.is_single, self.nodes = screen, is_single, nodes
        self.failures = failures or Failures(say)
        self.stages: dict[str, Stage] = {}  # the one that runs, by the study's id
        self.recorders: list[Recorder] = []
        self.running: dict[str, Course] = {}  # by Ray's id of the trial
        self.trials: dict[str, Any] = {}  # Ray's own, as soon as it has made them
        self.over: set[str] = set()  # studies with nothing left to train
        self.is_pausing = False
        self.started = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray keeps a copy and never reads it."""
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next proposal as a trial's configuration, ``None`` to wait, or ``FINISHED``."""
        self.settle()  # Ray Tune does nothing else while it waits for a trial
        if self.is_pausing:
            return Searcher.FINISHED
        must_wait = False
        shares = Counter(course.study.id for course in self.running.values())
        for course in sorted(self.courses, key=lambda course: shares[course.study.id]):
            made: dict[str, Any] | str | None = Searcher.FINISHED
            if course.study.id not in self.failures:
                with self.failures.of(course.study.id):
                    made = self._suggest(course, trial_id)
            if isinstance(made, dict):
                self.running[trial_id] = course
                slots = self.stages[course.study.id].slots
                return {**made, STUDY: course.study.id, CPUS: slots.cpus, GPUS: slots.gpus}
            must_wait = must_wait or made is None
            if made == Searcher.FINISHED:
                self._note_end(course)
                if self.is_pausing:
                    return Searcher.FINISHED
        return None if must_wait else Searcher.FINISHED

    def look(self) -> None:
        """See what room there is, where nodes may have joined or been lost."""
        if self.room.is_open:
            self.room = room(self.courses[0].resources)

    def _note_end(self, course: Course) -> None:
        is_out = course.study.id in self.failures
        if course.study.id in self.over or (self.is_single and not is_out):
            return
        self.over.add(course.study.id)
        self.screen.note(course.label, LEFT_OUT if is_out else TRAINED)
        self.is_pausing = self._is_time_to_finish(course)

    def _is_time_to_finish(self, course: Course) -> bool:
        """Whether a comparison is trained, others are not, and the run has lasted for a while.

        The run then ends at the next evaluation of each trial, which stays open and goes on in the
        next run: test scores and winners come comparison by comparison, for little work again.
        """
        beside = [each for each in self.courses if each.study.comparison == course.study.comparison]
        ids = {each.study.id for each in beside}
        is_trained = ids <= self.over and any(name not in self.failures for name in ids)
        is_late = time.monotonic() - self.started >= PAUSE_SECONDS
        return is_trained and is_late and len(self.over) < len(self.courses)

    def _suggest(self, course: Course, trial_id: str) -> dict[str, Any] | str | None:
        while (stage := self._stage(course)) is not None:
            made: dict[str, Any] | str | None = Searcher.FINISHED
            if stage.begun < stage.count:
                if not self._has_room(course, stage):
                    return None
                self._begin(course, stage)
                made = stage.searcher.suggest(trial_id)
            if made != Searcher.FINISHED:
                stage.begun += made is not None
                return made
            stage.count = stage.begun  # it is not asked again: what it says would depend on when
            if course in self.running.values():
                return None  # what comes next depends on how these end
            course.end_stage()
        return Searcher.FINISHED

    def _has_room(self, course: Course, stage: Stage) -> bool:
        """Whether a training of a stage can begin now.

        A suspect runs with nothing beside it, and before all else. How many a stage was planned for
        says nothing any more where nodes may have joined since.
        """
        mine = sum(each is course for each in self.running.values())
        if mine >= stage.slots.concurrency and not self.room.is_open:
            return False
        if any(self._is_suspect(each) for each in self.courses):
            return not self.running and self._is_suspect(course)
        sizes = {name: self.stages[each.study.id].slots for name, each in self.running.items()}
        waiting = {name for name, trial in self.trials.items() if trial.status == "PENDING"}
        return self.room.fits(
            stage.slots,
            [size for name, size in sizes.items() if name not in waiting],
            [size for name, size in sizes.items() if name in waiting],
        )

    def _is_suspect(self, course: Course) -> bool:
        """Whether what a study runs next, or runs now, is to run alone."""
        if course.study.id in self.failures or course.stage is None or not course.stage.is_alone:
            return False
        is_begun = self.stages.get(course.study.id) is course.stage
        return course.stage.begun < course.stage.count or (
            is_begun and course in self.running.values()
        )

    def _stage(self, course: Course) -> Stage | None:
        known = self.stages.get(course.study.id)
        if self.is_single and known is not None and course.stage is None:
            return None
        return course.next_stage()

    def _begin(self, course: Course, stage: Stage) -> None:
        """Note a stage whose first training is about to begin."""
        if stage is not self.stages.get(course.study.id):
            course.begin_stage()
            self.stages[course.study.id] = stage
            self.recorders.append(stage.recorder)
            self.screen.show(stage.progress)

    def tell(self, study_id: str, event: str, **info: Any) -> None:
        """Tell a study's stage of an event of Ray Tune's; one whose ledger takes no more is out.

        The trials of such a study are stopped, and stay open.

        Raises:
            Escape: If it is the disk that takes no more.
        """
        if study_id in self.failures:
            return
        try:
            self.stages[study_id].tell(event, **info)
        except Escape as escape:
            cause = escape.__cause__
            assert isinstance(cause, Exception)
            try:
                self.failures.note(study_id, cause)
            except Exception as error:
                raise Escape from error

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an evaluation on."""
        study_id = self.running[trial_id].study.id
        if study_id not in self.failures:
            with self.failures.of(study_id):
                self.stages[study_id].searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on how a trial ended; of one that may have lost its node, later."""
        if trial_id not in self.running or trial_id in self.nodes.in_doubt:
            return
        study_id, trial = self.running[trial_id].study.id, self.trials.get(trial_id)
        if study_id not in self.failures:
            if error and trial is not None and self.nodes.doubt(trial):
                return
            with self.failures.of(study_id):
                self.stages[study_id].searcher.on_trial_complete(trial_id, result, error)
        self._forget(trial_id)

    def settle(self) -> None:
        """End the doubt about trials, as soon as it is known what has become of their nodes.

        One that has lost its node has not ended: the study's next stage, planned from the ledger,
        takes it up where it was.
        """
        for trial, is_bereft in self.nodes.decided():
            study_id = self.running[trial.trial_id].study.id
            stage = self.stages[study_id]
            if is_bereft:
                stage.recorder.left_open.add(trial.config["key"])
            else:
                with self.failures.of(study_id):
                    stage.searcher.on_trial_complete(trial.trial_id, error=True)
            event = "on_trial_cut_off" if is_bereft else "on_trial_error"
            self.tell(study_id, event, iteration=0, trials=[], trial=trial)
            self._forget(trial.trial_id)

    def _forget(self, trial_id: str) -> None:
        del self.running[trial_id]
        self.trials.pop(trial_id, None)
        self.nodes.forget(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the ledger is the truth."""
