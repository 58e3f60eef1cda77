"""Nodes that are lost while trials run: what befalls a trial with its node is not its failure."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tune_sentiment.supervisor import MAX_LOSSES

LOOK_SECONDS = 30.0  # how long a lost node is looked for; Ray learns of its workers' loss earlier
PAUSE_SECONDS = 0.5  # between two looks
FAILURES_OF_A_NODE = 2  # the most that Ray Tune counts of a trial there: its worker's, its task's


class LostNodes:
    """Tells trials that fail from those that lost the node they ran on.

    Ray says of both that the worker cannot be reached, and gives a trial up before it knows that a
    node is gone. So a trial that is given up is in doubt for a while. For each node that was
    lost since it began Ray Tune may have counted two failures, while the trial was handed to its
    worker there, and it may have lost one worker by itself.

    Args:
        known: Every node that there ever was, and whether it is there.
    """

    def __init__(self, known: Callable[[], Mapping[str, bool]]) -> None:
        self.known = known
        self.before: dict[str, int] = {}  # nodes that were lost before a trial began
        self.in_doubt: dict[str, tuple[Any, float]] = {}  # trials, and when Ray gave them up
        self.next_look = 0.0

    def on_start(self, trial: Any) -> None:
        """Look at the nodes before a trial; not again when it goes on elsewhere."""
        if trial.trial_id not in self.before:
            self.before[trial.trial_id] = _lost(self.known())

    def doubt(self, trial: Any) -> bool:
        """Whether it must be waited for what has become of the node of a trial that Ray gives up.

        Where there is one node only, its loss would be the driver's.
        """
        if len(self.known()) == 1:
            return False
        self.in_doubt[trial.trial_id] = trial, time.monotonic()
        return True

    def decided(self) -> list[tuple[Any, bool]]:
        """Trials whose doubt ends now, and of each whether its node was lost.

        It was if fewer of the trial's losses were its own than end it.
        """
        now = time.monotonic()
        if not self.in_doubt or now < self.next_look:
            return []
        self.next_look = now + PAUSE_SECONDS
        lost, made = _lost(self.known()), []
        for trial, since in list(self.in_doubt.values()):
            nodes = lost - self.before.get(trial.trial_id, 0)
            own = trial.run_metadata.num_failures - FAILURES_OF_A_NODE * nodes
            is_bereft = nodes > 0 and own < MAX_LOSSES
            if is_bereft or now >= since + LOOK_SECONDS:
                del self.in_doubt[trial.trial_id]
                made.append((trial, is_bereft))
        return made

    def forget(self, trial_id: str) -> None:
        """Keep nothing of a trial that has ended."""
        self.before.pop(trial_id, None)


def _lost(nodes: Mapping[str, bool]) -> int:
    return sum(not is_there for is_there in nodes.values())
