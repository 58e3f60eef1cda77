"""What a study trains, one stage after the other, worked out from its ledger each time."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tune_sentiment.config import Resources
from tune_sentiment.confirm_plan import decide, is_lost, known_runs, screening, winner_runs
from tune_sentiment.errors import StartError
from tune_sentiment.forecast import Forecast
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.progress import Progress, say
from tune_sentiment.proposal import Proposal
from tune_sentiment.recorder import Recorder
from tune_sentiment.records import best_trial
from tune_sentiment.searcher import FixedSearch, Search
from tune_sentiment.slots import Slots
from tune_sentiment.stage import Stage
from tune_sentiment.study import Study
from tune_sentiment.supervisor import Supervisor
from tune_sentiment.workload import (
    confirmation_recorder,
    missing_trials,
    open_folder,
    scheduler_and_recorder,
    slots_for,
)


class Course:
    """A study's way from its first trial to the last run of its winner.

    Args:
        study: What is searched.
        folder: Its ledger, from which everything is planned.
        resources: What was asked for.
        supervisor: Knows what is to run alone.
        label: What the study is called beside others; its method if not given.
        forecast: What it is expected to take; kept when it begins.
        per_gpu: Trainings of it that have room on a GPU.
    """

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        resources: Resources,
        supervisor: Supervisor,
        label: str | None = None,
        forecast: Forecast | None = None,
        per_gpu: int = 1,
    ) -> None:
        self.study, self.folder, self.forecast = study, folder, forecast
        self.label = label or study.config.method
        self.resources, self.supervisor, self.per_gpu = resources, supervisor, per_gpu
        self.stage: Stage | None = None
        self.slots: Slots | None = None  # what a training of the last stage got
        self.is_search_over = False
        self.tries: Counter[str] = Counter()  # of each confirmation run
        self.deadline: float | None = None
        self.is_over = False
        folder.tidy()
        self.plan_again()

    @property
    def is_timed(self) -> bool:
        """Whether the present stage is a search with a time budget."""
        is_search = self.stage is not None and self.stage.is_search
        return is_search and self.study.config.time_budget_minutes is not None

    def start_clock(self) -> float | None:
        """Seconds that the present stage has; ``None`` where it has as many as it needs.

        The clock of a search starts when it is first asked for.
        """
        minutes = self.study.config.time_budget_minutes
        if minutes is None or not self.is_timed:
            return None
        self.deadline = self.deadline or time.monotonic() + 60 * minutes
        return max(1.0, self.deadline - time.monotonic())

    def plan_again(self) -> None:
        """Forget the stage, and record what has ended and was not written any more."""
        self.stage, self.is_over = None, False
        scheduler_and_recorder(self.study, self.folder)[1].close_ended()
        confirmation_recorder(self.study, self.folder).close_ended()

    def next_stage(self) -> Stage | None:
        """The present stage, or the next one; ``None`` when all is trained."""
        if self.stage is None and not self.is_over:
            self.stage = self._search() or self._screening() or self._winner()
            self.is_over = self.stage is None
        return self.stage

    def begin_stage(self) -> None:
        """Write what the study is before anything of it runs."""
        folder = open_folder(self.study, self.folder.path.parent)
        if self.forecast is not None:
            folder.write_forecast(self.forecast.as_dict())

    def end_stage(self) -> None:
        """Note that nothing more of the present stage will run.

        Says so when the search space is used up.
        """
        stage, self.stage = self.stage, None
        if stage is None:
            return
        left_open = stage.recorder.left_open
        if not isinstance(stage.searcher, Search):
            self.tries.update(key for key in stage.keys if key not in left_open)
            return
        self.is_search_over = not (stage.is_alone or left_open)
        is_cut_off = any(trial.status is None for trial in self.folder.history())
        if stage.searcher.is_exhausted and not is_cut_off:
            self.folder.mark_exhausted()
            say(
                f"{self.label}: no configuration is left that was not tried; its search is complete"
            )

    def _search(self) -> Stage | None:
        """What is missing of the trials; those that an earlier session left open go on first."""
        study, missing = self.study, missing_trials(self.study, self.folder)
        is_late = self.deadline is not None and time.monotonic() >= self.deadline
        if self.is_search_over or is_late or not missing:
            return None
        trainings = self.folder.trainings()
        past = self.folder.history(trainings)
        still_open = {trial.proposal.key for trial in past if trial.status is None}
        alone = self.supervisor.suspects(study.id, still_open)
        past.sort(key=lambda trial: trial.proposal.key in still_open - alone)
        scheduler, recorder = scheduler_and_recorder(study, self.folder, trainings)
        searcher = Search(study.space, mode=study.metric.mode, seed=study.config.seed, past=past)
        return Stage(
            searcher=searcher,
            scheduler=scheduler,
            recorder=recorder,
            progress=self._progress(
                "search",
                len(alone) or missing,
                study.planned_evaluations,
                recorder,
            ),
            count=len(alone) or missing,
            # Threads follow from what was asked for, not from what is missing: they change numbers.
            slots=self._slots(study.side_by_side, bool(alone)),
            is_alone=bool(alone),
        )

    def _screening(self) -> Stage | None:
        asked, known = screening(self.study, self.folder), known_runs(self.folder)
        missing = [run for run in asked if self._is_missing(run.key, known.get(run.key))]
        return self._runs(missing, len(asked), "confirming the best trials")

    def _winner(self) -> Stage | None:
        decide(self.study, self.folder)
        asked, known = winner_runs(self.study, self.folder), known_runs(self.folder)
        missing = [
            run
            for run in asked
            if self._is_missing(run.key, known.get(run.key))
            or (not self.tries[run.key] and is_lost(known.get(run.key), self.folder))
        ]
        return self._runs(missing, len(asked), "confirming the winner")

    def _is_missing(self, key: str, record: Any) -> bool:
        """Whether a run has no record, or failed: once more, for it may have been the machine.

        One that was there when Ray Tune died has had its other try.
        """
        if record is None:
            return self.tries[key] == 0
        is_suspect = bool(self.supervisor.suspects(self.study.id, [key]))
        return self.tries[key] == 1 and record["status"] == "failed" and not is_suspect

    def _runs(self, missing: Sequence[Proposal], asked: int, what: str) -> Stage | None:
        if not missing:
            return None
        study = self.study
        alone = self.supervisor.suspects(study.id, [run.key for run in missing])
        now = [run for run in missing if run.key in alone] or list(missing)
        recorder = confirmation_recorder(study, self.folder, [run.key for run in now])
        return Stage(
            searcher=FixedSearch(now, mode=study.metric.mode),
            scheduler=None,
            recorder=recorder,
            progress=self._progress(
                what,
                len(now),
                max(run.evaluations or study.planned_evaluations for run in now),
                recorder,
                noun="run of trial",
            ),
            count=len(now),
            # Beside many other studies all stages of all have the same slots: none waits for cores.
            slots=self._slots(study.side_by_side if study.beside else asked, bool(alone)),
            keys=[run.key for run in now],
            is_alone=bool(alone),
        )

    def _slots(self, trainings: int, is_alone: bool) -> Slots:
        """What each training gets; where nodes were lost that can hold it, what it got before.

        It waits for others to come: that its nodes are gone is not the study's failure.
        """
        try:
            self.slots = slots_for(self.study, self.resources, trainings, self.per_gpu)
        except StartError:
            if self.slots is None or not self.resources.is_cluster:
                raise
        return replace(self.slots, concurrency=1) if is_alone else self.slots

    def _progress(
        self,
        stage: str,
        total: int,
        evaluations: int,
        recorder: Recorder,
        noun: str = "trial",
    ) -> Progress:
        metric, mode = self.study.config.metric, self.study.metric.mode
        trials = self.folder.trials()
        best = best_trial(trials, metric, mode)
        return Progress(
            label=self.label,
            stage=stage,
            total=total,
            evaluations=evaluations,
            metric=metric,
            mode=mode,
            searched=list(self.study.space.params) if noun == "trial" else ["seed"],
            noun=noun,
            is_stopped=recorder.is_stopped,
            before=len(trials),
            best=None if best is None else best[metric],
        )
