"""What is tried next: Optuna's TPE as the ledger knows it, or a list of fixed proposals.

Ray's own OptunaSearch tells an early-stopped trial as complete, leaves one that diverged running
for ever, and cannot be filled from records. This searcher stands on Ray's public ``Searcher`` and
on Optuna's public ask and tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from ray.tune.search import Searcher

from tune_sentiment.ledger import PastTrial
from tune_sentiment.metrics import Mode
from tune_sentiment.proposal import Proposal, trial_key
from tune_sentiment.space import SearchSpace
from tune_sentiment.told import known_trial, learnt

OBJECTIVE = "objective"  # what trials report: the searched metric's best value so far
# Beside start points; Optuna's 10 random trials are half of a small study.
SAMPLER: dict[str, Any] = {"n_startup_trials": 5}
MAX_REPEATS = 20

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Sampler(optuna.samplers.TPESampler):
    """TPE that is told what is searched, and need not find it out from all trials every time.

    Args:
        distributions: Of every trial.
        **settings: TPE's own.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], **settings: Any) -> None:
        super().__init__(**settings)
        self.searched = {name: d for name, d in sorted(distributions.items()) if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What all trials have searched."""
        return self.searched


class Search(Searcher):
    """Winners of earlier searches and start points first, then TPE (Bergstra et al., 2011).

    It is filled from a study's records.

    The sampler is seeded anew for each proposal, by the number of proposals before it, so a study
    that goes on proposes what an uninterrupted one would have.

    Args:
        space: What is searched and what is pinned.
        mode: ``max`` or ``min``.
        seed: Seed of the sampler and of every trial.
        past: Trials that the ledger knows; open ones go on first.
    """

    def __init__(
        self, space: SearchSpace, *, mode: Mode, seed: int, past: Sequence[PastTrial] = ()
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode=mode)
        self.space, self.seed = space, seed
        self.distributions = space.distributions()
        self.study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
        self.asked: dict[str, tuple[optuna.Trial, Proposal]] = {}
        self.values: dict[str, dict[int, float]] = {}
        self.outcomes: dict[str, tuple[str, dict[int, float]]] = {}
        self.open = {trial.proposal.key: trial for trial in past if trial.status is None}
        self.next_number = 1 + max((t.proposal.number for t in past), default=-1)
        self.is_exhausted = False
        self._refill(past)

    def _refill(self, past: Sequence[PastTrial]) -> None:
        for trial in past:
            if trial.status is not None:
                values = dict(enumerate(trial.objectives, start=1))
                self.outcomes[trial.proposal.key] = (trial.status, values)
        params = {trial.proposal.key: self._searched(trial.proposal.params) for trial in past}
        for trial in past:
            for key in trial.proposal.repeats:
                self._add(params[key], *self.outcomes[key])
            if trial.status is None:
                self.study.enqueue_trial(params[trial.proposal.key])
            else:
                self._add(params[trial.proposal.key], *self.outcomes[trial.proposal.key])
        known = [self._searched(trial.proposal.params) for trial in past]
        for point in self.space.tried_first:
            if point not in known:
                self.study.enqueue_trial(point)

    def _searched(self, params: Any) -> dict[str, Any]:
        return {name: params[name] for name in self.distributions}

    def _add(self, params: dict[str, Any], status: str, values: dict[int, float]) -> None:
        state, kept = learnt(status, values)
        best = kept[max(kept)] if kept else None
        value = None if state is TrialState.FAIL else best
        self.study.add_trial(known_trial(state, value, dict(params), self.distributions, kept))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next proposal as a trial's configuration, ``None`` to wait, or ``FINISHED``."""
        size = self.space.size()
        repeats: list[str] = []
        must_wait = False
        for _ in range(MAX_REPEATS):
            waiting = bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
            running = {proposal.key for _, proposal in self.asked.values()}
            if size is not None and len(self.outcomes.keys() | running) >= size and not waiting:
                break
            trial = self._ask()
            params = {**trial.params, **(self.space.fixed or {})}
            key = trial_key(params, self.seed)
            if key in self.outcomes:
                self._tell(trial, *self.outcomes[key])
                repeats.append(key)
            elif key in running:
                self.study.tell(trial, state=TrialState.FAIL)
                must_wait = True
            else:
                begun = self.open.pop(key, None)
                proposal = begun.proposal if begun else self._propose(key, trial, params, repeats)
                self.asked[trial_id] = (trial, proposal)
                self.values[trial_id] = dict(enumerate(begun.objectives if begun else (), start=1))
                return proposal.as_dict()
        if must_wait:
            return None
        self.is_exhausted = True
        return Searcher.FINISHED

    def _propose(
        self, key: str, trial: optuna.Trial, params: dict[str, Any], repeats: Sequence[str]
    ) -> Proposal:
        starts = [dict(point) for point in self.space.start] or [{}]
        origin = "start" if trial.params in starts else "sampler"
        if trial.params in [dict(point) for point in self.space.prior]:
            origin = "prior"
        if self.space.is_listed:
            origin = "preset"
        number, self.next_number = self.next_number, self.next_number + 1
        return Proposal(
            number=number,
            key=key,
            origin=origin,
            params=params,
            seed=self.seed,
            repeats=tuple(repeats),
        )

    def _ask(self) -> optuna.Trial:
        begun = sum(
            trial.state is not TrialState.WAITING for trial in self.study.get_trials(deepcopy=False)
        )
        seed = (self.seed * 100_003 + begun) % 2**32
        self.study.sampler = _Sampler(self.distributions, seed=seed, **SAMPLER)
        return self.study.ask(self.distributions)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Remember an evaluation."""
        if result["status"] in ("running", "finished"):
            self.values[trial_id][result["evaluation"]] = result[OBJECTIVE]

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended. Its last evaluation arrives here, not as a result."""
        if trial_id not in self.asked:
            return
        trial, proposal = self.asked.pop(trial_id)
        if error or not result or "status" not in result:
            status = "failed"
        else:
            self.on_trial_result(trial_id, result)
            status = "pruned" if result["status"] == "running" else result["status"]
        values = self.values.pop(trial_id)
        self.outcomes[proposal.key] = (status, values)
        self._tell(trial, status, values)

    def _tell(self, trial: optuna.Trial, status: str, values: dict[int, float]) -> None:
        state, kept = learnt(status, values)
        for evaluation, value in sorted(kept.items()):
            trial.report(value, step=evaluation)
        is_complete = state is TrialState.COMPLETE
        self.study.tell(trial, kept[max(kept)] if is_complete else None, state=state)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the ledger is the truth."""


class FixedSearch(Searcher):
    """Exactly the given proposals, in their order: confirmations and presets.

    Args:
        proposals: What to run.
        mode: ``max`` or ``min``, as the study's.
    """

    def __init__(self, proposals: Iterable[Proposal], *, mode: Mode) -> None:
        super().__init__(metric=OBJECTIVE, mode=mode)
        self.waiting = list(proposals)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next proposal as a trial's configuration, or ``FINISHED``."""
        return self.waiting.pop(0).as_dict() if self.waiting else Searcher.FINISHED

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn nothing."""

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the ledger is the truth."""
