"""What happens when Ray Tune itself ends with an error: the study goes on without the cause.

Ray Tune gives up a whole run for things that concern one training: its memory monitor kills a
worker, a node is lost at a bad moment. The ledger knows what was running then.
"""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError
from ray.tune import TuneError

from tune_sentiment.errors import StartError, TuneSentimentError
from tune_sentiment.recorder import Recorder

MAX_LOSSES = 2  # a training that has lost its worker, or taken Ray Tune down, so often is left out
MAX_FRUITLESS = 3  # runs of Ray Tune that die one after the other without a training that ended
# In the account of Ray's memory monitor.
KILLED = re.compile(r"Selected to kill.*?\bpid=(\d+)")
KILLED_ON = re.compile(r"on the node \(IP: ([^,)]+)")


class Supervisor:
    """Follows the runs of Ray Tune within one command.

    Those that ran when Ray Tune died are suspects, or those among them whose workers Ray says it
    killed: the newest, not the greediest. The next run takes the suspects one by one, and one that
    dies alone, too, is recorded with the reason and left out.

    Args:
        say: Tells the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.losses: Counter[tuple[str, str]] = Counter()  # by study and key
        self.fruitless = 0
        self.has_died = False

    def suspects(self, study_id: str, open_keys: Iterable[str]) -> set[str]:
        """Those of a study's open trainings that are to run one by one."""
        return {key for key in open_keys if self.losses[study_id, key]}

    @contextmanager
    def watch(self, recorders: Sequence[Recorder]) -> Generator[None, None, None]:
        """One run of Ray Tune; one that dies is noted in ``has_died`` instead of raised.

        Args:
            recorders: Of what runs; more may come while it does.

        Raises:
            StartError: If runs keep dying without a training that ended.
        """
        self.has_died = False
        try:
            yield
            self.fruitless = 0
        except TuneSentimentError:
            raise
        except (RuntimeError, RayError, TuneError) as error:
            self._note(recorders, error)

    def _note(self, recorders: Sequence[Recorder], error: Exception) -> None:
        self.has_died = True
        cause = error.__cause__ or error
        reason = _reason(cause)
        self.say(f"Ray Tune ended: {reason}")
        self.fruitless = 0 if any(r.ended for r in recorders) else self.fruitless + 1
        killed = {int(found) for found in KILLED.findall(str(cause))}
        on = set(KILLED_ON.findall(str(cause)))
        running = [(r, key, *where) for r in recorders for key, where in r.running.items()]
        named = [
            ran
            for ran in running
            if ran[3] in killed and (not on or ran[2] is None or ran[2] in on)
        ]
        if isinstance(cause, NodeDiedError):
            named, running = [], []  # it says nothing of what ran there
        for recorder, key, *_ in named or running:
            self.losses[recorder.study_id, key] += 1
            if len(running) == 1 and self.losses[recorder.study_id, key] >= MAX_LOSSES:
                status = "oom" if isinstance(cause, OutOfMemoryError) else "failed"
                recorder.end(key, status, reason)
                self.fruitless = 0
        if self.fruitless >= MAX_FRUITLESS:
            raise StartError(f"Ray Tune ended {self.fruitless} times in a row: {reason}") from None
        self.say("the study goes on with what is missing")


def _reason(cause: BaseException) -> str:
    """What an error says in one line; of a traceback its end."""
    text = str(cause).strip() or type(cause).__name__
    if text.startswith("Traceback"):
        text = text.splitlines()[-1]
    return " ".join(text.split())[:300]
