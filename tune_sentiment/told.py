"""What Optuna is told of a trial that has ended."""

from optuna.trial import TrialState


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
