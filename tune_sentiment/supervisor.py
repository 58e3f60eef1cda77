"""What happens when Ray Tune itself ends with an error: the study goes on without the cause.

Ray Tune gives up a whole run for things that concern one training: its memory monitor kills a
worker, a node is lost at a bad moment. The ledger knows what was running then.
"""

import gc
import re
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ray.exceptions import OutOfMemoryError, RayError
from ray.tune import TuneError

from tune_sentiment.errors import StartError, TuneSentimentError
from tune_sentiment.recorder import Recorder

MAX_LOSSES = 2  # a training that has taken its worker, or Ray Tune, down so often is left out
MAX_FRUITLESS = 3  # runs of Ray Tune that die one after the other without a training that ended
KILLED = re.compile(r"\bpid=(\d+)")  # in Ray's account of what its memory monitor killed


class Supervisor:
    """Follows the runs of Ray Tune within one study.

    A training that two runs died of is recorded, with the reason, and left out. Where Ray does not
    say which training it was, all that ran are suspects, and the next run takes them one by one.

    Args:
        say: Tells the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.losses: Counter[str] = Counter()
        self.fruitless = 0
        self.has_died = False
        self.has_suspects = False

    @contextmanager
    def watch(self, recorder: Recorder) -> Generator[None, None, None]:
        """One run of Ray Tune; one that dies is noted in ``has_died`` instead of raised.

        Raises:
            StartError: If runs keep dying without a training that ended.
        """
        self.has_died = self.has_suspects = False
        try:
            yield
        except TuneSentimentError:
            raise
        except (RuntimeError, RayError, TuneError) as error:
            self._note(recorder, error)
        gc.collect()  # what the dead run held: its actors and their cores

    def _note(self, recorder: Recorder, error: Exception) -> None:
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:300]
        self.has_died = True
        killed = {int(found) for found in KILLED.findall(str(cause))}
        named = [key for key, pid in recorder.running.items() if pid in killed]
        blamed = named or list(recorder.running)
        self.has_suspects = len(blamed) > 1
        self.fruitless = 0 if recorder.ended else self.fruitless + 1
        self.say(f"Ray Tune ended: {reason}")
        for key in blamed:
            self.losses[key] += 1
            if self.losses[key] >= MAX_LOSSES:
                status = "oom" if isinstance(cause, OutOfMemoryError) else "failed"
                recorder.end(key, status, reason)
                self.fruitless = 0
        if self.fruitless >= MAX_FRUITLESS:
            raise StartError(f"Ray Tune ended {self.fruitless} times in a row: {reason}") from None
        self.say("the study goes on with what is missing")
