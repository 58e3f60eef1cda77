"""When a trial is ended early: ASHA (Li et al., 2020, algorithm 2) over integer evaluations.

What is no further below a rung's cutoff than the noise of its validation goes on: late in a search
most trials are alike, and a rung that parts them by noise would stop the best one as any other.

Rungs are keyed by the ledger's keys and filled from its records, so a trial that goes on in another
session meets its own past and everyone else's.
"""

import math
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from tune_sentiment.ledger import PastTrial
from tune_sentiment.metrics import Mode
from tune_sentiment.searcher import OBJECTIVE

TIME = "evaluation"
REDUCTION_FACTOR = 2  # with 3, what the first epoch misjudges is lost more often: what-did-not-help


def scheduler_settings(
    max_epochs: int, evaluations_per_epoch: int, settling: float, scored_texts: int = 0
) -> dict[str, int]:
    """ASHA's settings, in evaluations: grace is one epoch, or more while trials may still warm up.

    Args:
        max_epochs: Epochs of a trial that nothing ends early.
        evaluations_per_epoch: Passes over validation in each epoch.
        settling: The largest share of a training that the space can give to warm-up, or to
            unfreezing, ``[0, 1)``.
        scored_texts: Validation texts behind a metric that is a share of them; 0 for a loss, whose
            noise is not known.
    """
    grace_epochs = max(1, math.ceil(settling * max_epochs))
    return {
        "max_t": max_epochs * evaluations_per_epoch,
        "grace_period": grace_epochs * evaluations_per_epoch,
        "reduction_factor": REDUCTION_FACTOR,
        **({"scored_texts": scored_texts} if scored_texts else {}),
    }


def standard_error(share: float, texts: int) -> float:
    """Of a share of so many texts, that of an accuracy, which stands for those of all metrics.

    Args:
        share: In [0, 1]; what is beyond is taken as its end.
        texts: How many; 0 if the metric is no share.
    """
    inside = min(max(share, 0.0), 1.0)
    return math.sqrt(inside * (1 - inside) / texts) if texts else 0.0


class Asha(AsyncHyperBandScheduler):
    """Asynchronous successive halving that knows trials by their key in the ledger.

    Args:
        mode: ``max`` or ``min``.
        settings: From ``scheduler_settings``.
        past: Trials that the ledger knows, replayed in the order of their evaluations.
    """

    def __init__(
        self, *, mode: Mode, settings: dict[str, int], past: Sequence[PastTrial] = ()
    ) -> None:
        known = dict(settings)
        self.scored_texts = known.pop("scored_texts", 0)
        super().__init__(time_attr=TIME, metric=OBJECTIVE, mode=mode, **known)
        self.decisions: dict[str, str] = {}
        self.is_decided = False
        [bracket] = self._brackets
        bracket.cutoff = partial(self._cutoff, bracket)
        self._replay(past)

    def _cutoff(self, bracket: Any, recorded: dict[str, float]) -> float | None:
        """The lowest score of a rung that goes on; ``None`` if every one does."""
        if self.is_decided:
            return None
        found = type(bracket).cutoff(bracket, recorded)
        return None if found is None else float(found - standard_error(found, self.scored_texts))

    def _replay(self, past: Sequence[PastTrial]) -> None:
        """Fill the rungs, and decide about open trials.

        A cutoff takes all scores of its rung, so those of ended trials, which nobody asks for, are
        left out.
        """
        events = [
            (sequence, evaluation, objective, trial)
            for trial in past
            for evaluation, (sequence, objective) in enumerate(
                zip(trial.sequences, trial.objectives, strict=True), start=1
            )
        ]
        for trial in past:
            self.on_trial_add(None, _stand_in(trial))
        for _, evaluation, objective, trial in sorted(events, key=lambda event: event[0]):
            self.is_decided = trial.status is not None  # what was decided stands in its record
            result = {TIME: evaluation, OBJECTIVE: objective, "status": "running"}
            self.on_trial_result(None, _stand_in(trial), result)
        self.is_decided = False
        for trial in past:
            if trial.status is not None:
                self.on_trial_remove(None, _stand_in(trial))
            if trial.status == "pruned":
                self.decisions[trial.proposal.key] = TrialScheduler.STOP

    def is_stopped(self, key: str) -> bool:
        """Whether ASHA ended the trial with this key."""
        return self.decisions.get(key) == TrialScheduler.STOP

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Enter a trial under its key."""
        super().on_trial_add(tune_controller, _known_as(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Go on or stop. A trial that diverged, failed or ran out of memory ends by itself."""
        if result["status"] not in ("running", "finished"):
            return str(TrialScheduler.CONTINUE)
        decision = str(super().on_trial_result(tune_controller, _known_as(trial), result))
        self.decisions[trial.config["key"]] = decision
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Forget a trial that ended by itself; its evaluations are in the rungs."""
        self.on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial that failed."""
        self.on_trial_remove(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial."""
        super().on_trial_remove(tune_controller, _known_as(trial))


def _known_as(trial: Any) -> SimpleNamespace:
    return SimpleNamespace(trial_id=trial.config["key"])


def _stand_in(past: PastTrial) -> SimpleNamespace:
    return SimpleNamespace(config={"key": past.proposal.key})
