"""Nodes that are lost while trials run: what befalls a trial with its node is not its failure."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tune_sentiment.supervisor import MAX_LOSSES

LOOK_SECONDS = 30.0  # how long a lost node is looked for; Ray learns of its workers' loss earlier
PAUSE_SECONDS = 0.5  # between two looks


class LostNodes:
    """Tells trials that fail from those that lost the node they ran on.

    Ray says of both that the worker cannot be reached, and gives a trial up before it knows that a
    node is gone. So a trial that is given up is in doubt for a while. It may have lost a worker for
    each node that was lost since it began, and one by itself.

    Args:
        known: Every node that there ever was, and whether it is there.
    """

    def __init__(self, known: Callable[[], Mapping[str, bool]]) -> None:
        self.known = known
        self.before: dict[str, int] = {}  # nodes that were lost before a trial began
        self.given_up: dict[str, float] = {}  # when
        self.next_look = 0.0

    def on_start(self, trial: Any) -> None:
        """Look at the nodes before a trial; not again when it goes on elsewhere."""
        if trial.trial_id not in self.before:
            self.before[trial.trial_id] = _lost(self.known())

    def may_be_bereft(self, trial: Any) -> bool:
        """Whether it must be waited for what has become of the node of a trial that Ray gives up.

        Where there is one node only, its loss would be the driver's.
        """
        if len(self.known()) == 1:
            return False
        self.given_up[trial.trial_id] = time.monotonic()
        return True

    def is_bereft(self, trial: Any) -> bool | None:
        """Whether fewer losses of a trial were its own than end it; ``None`` as long as unknown."""
        now = time.monotonic()
        if now < self.next_look:
            return None
        self.next_look = now + PAUSE_SECONDS
        lost = _lost(self.known()) - self.before.get(trial.trial_id, 0)
        if lost and trial.run_metadata.num_failures - lost < MAX_LOSSES:
            return True
        return None if now < self.given_up[trial.trial_id] + LOOK_SECONDS else False


def _lost(nodes: Mapping[str, bool]) -> int:
    return sum(not is_there for is_there in nodes.values())
