"""What of a study may run side by side.

The search, the runs that decide which trial is confirmed, and the winner's other runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tune_sentiment.progress import Progress
from tune_sentiment.recorder import Recorder
from tune_sentiment.scheduler import Asha
from tune_sentiment.searcher import FixedSearch, Search
from tune_sentiment.slots import Slots


@dataclass(eq=False)
class Stage:
    """Trainings of one study that may run side by side.

    Args:
        searcher: Says which they are.
        scheduler: Ends some early; ``None`` to end none.
        recorder: Writes them down.
        progress: Shows them.
        count: How many there are.
        slots: What each gets.
        keys: Of a confirmation's runs; empty for the search.
        is_alone: Whether they are suspects, which run one by one.
        begun: How many were handed out.
    """

    searcher: Search | FixedSearch
    scheduler: Asha | None
    recorder: Recorder
    progress: Progress
    count: int
    slots: Slots
    keys: Sequence[str] = ()
    is_alone: bool = False
    begun: int = field(default=0, init=False)

    @property
    def is_search(self) -> bool:
        """Whether a sampler decides what is trained."""
        return isinstance(self.searcher, Search)

    def tell(self, event: str, **info: Any) -> None:
        """Tell the recorder of an event of Ray Tune's, and then who shows it."""
        for listener in (self.recorder, self.progress):
            getattr(listener, event)(**info)
