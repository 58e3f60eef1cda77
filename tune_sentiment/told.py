"""What Optuna is told of a trial that has ended."""

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState


def learnt(status: str, values: dict[int, float]) -> tuple[TrialState, dict[int, float]]:
    """A trial's state, and its values by evaluation.

    Diverged and out-of-memory trials are pruned without values: TPE ranks them last. Told as
    failed they would be ignored, and TPE goes on proposing the region. A failed trial says nothing
    about its configuration.
    """
    if status == "finished":
        return TrialState.COMPLETE, values
    if status == "pruned":
        return TrialState.PRUNED, values
    if status in ("diverged", "oom"):
        return TrialState.PRUNED, {}
    return TrialState.FAIL, {}


class Known(FrozenTrial):
    """A trial that a study takes as it is.

    Optuna copies each trial that it is given with all its distributions, which is most of what
    thousands of them cost. Nothing else holds this one, and no distribution ever changes.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "Known":
        """Another trial with the same content."""
        return copy.copy(self)


def known_trial(
    state: TrialState,
    value: float | None,
    params: dict[str, Any],
    distributions: Mapping[str, BaseDistribution],
    intermediate_values: dict[int, float] | None = None,
) -> Known:
    """An ended trial for a study's ``add_trial``, which checks it."""
    now = datetime.now()
    return Known(
        number=-1,  # the study gives it one
        trial_id=-1,
        state=state,
        value=value,
        datetime_start=now,
        datetime_complete=now,
        params=params,
        distributions=dict(distributions),
        user_attrs={},
        system_attrs={},
        intermediate_values=intermediate_values or {},
    )
