"""Nodes that are lost while trials run: what befalls a trial with its node is not its failure."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tune_sentiment.supervisor import MAX_LOSSES

LOOK_SECONDS = 5.0  # how long a lost node is looked for; Ray learns of its workers' loss earlier
PAUSE_SECONDS = 0.5


class LostNodes:
    """Tells trials that fail from those that lost the node they ran on.

    Ray says of both that the worker cannot be reached, so a trial may lose a worker for each node
    that was lost since the trial began, and one by itself.

    Args:
        known: Every node that there ever was, and whether it is there.
    """

    def __init__(self, known: Callable[[], Mapping[str, bool]]) -> None:
        self.known = known
        self.before: dict[str, int] = {}  # nodes that were lost before a trial began

    def on_start(self, trial: Any) -> None:
        """Look at the nodes before a trial; not again when it goes on elsewhere."""
        if trial.trial_id not in self.before:
            self.before[trial.trial_id] = _lost(self.known())

    def is_bereft(self, trial: Any) -> bool:
        """Whether fewer of a trial's losses were its own than end it.

        Where there is more than one node, what has become of them is waited for.
        """
        before, losses = self.before.pop(trial.trial_id, 0), trial.run_metadata.num_failures
        deadline = time.monotonic() + LOOK_SECONDS
        while True:
            nodes = self.known()
            lost = _lost(nodes) - before
            if lost and losses - lost < MAX_LOSSES:
                return True
            if len(nodes) == 1 or time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE_SECONDS)


def _lost(nodes: Mapping[str, bool]) -> int:
    return sum(not is_there for is_there in nodes.values())
