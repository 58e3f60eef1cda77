"""Studies of a command that cannot go on, and why: one that fails does not stop the others.

A full disk, or an object store that is gone, is no study's own failure: it ends the command.
"""

import errno
import os
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from tune_sentiment.errors import StartError, TuneSentimentError
from tune_sentiment.objects import StorageError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError)


class Failures:
    """What went wrong with which study.

    Args:
        say: Tells the user.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.errors: dict[str, Exception] = {}  # by the study's id, in the order they came

    def __contains__(self, study_id: str) -> bool:
        return study_id in self.errors

    @contextmanager
    def of(self, study_id: str) -> Generator[None, None, None]:
        """Whatever goes wrong in the body is this study's failure; what follows it goes on."""
        try:
            yield
        except Exception as error:
            self.note(study_id, error)

    def note(self, study_id: str, error: Exception) -> None:
        """Take a study out.

        Only its first failure is told; one that is none of ours keeps its traceback.

        Raises:
            Exception: The error itself where the disk or the store takes no more.
        """
        if of_the_disk(error) or isinstance(getattr(error, "cause", error), StorageError):
            raise error
        if study_id in self.errors:
            return
        self.errors[study_id] = error
        if not isinstance(error, TuneSentimentError):
            self.say("".join(traceback.format_exception(error)).rstrip())
        self.say(f"{study_id} is left out: {reason(error)}")

    def told(self, study_id: str) -> str:
        """Why a study ended without what it was started for, in a line."""
        if study_id in self.errors:
            return f"{study_id}: {reason(self.errors[study_id])}"
        return f"{study_id} ended without a winner; see its trials/"

    def raise_if_all(self, study_ids: Iterable[str]) -> None:
        """End a command whose studies have all failed with the first failure.

        Raises:
            TuneSentimentError: That failure, or its words where it is none of ours.
        """
        if not all(study_id in self.errors for study_id in study_ids):
            return
        first = next(iter(self.errors.values()))
        if isinstance(first, TuneSentimentError):
            raise first
        raise TuneSentimentError(reason(first)) from first


def reason(error: Exception) -> str:
    """An error in one line; one that is none of ours is told with its type."""
    said = " ".join(str(error).split())
    return said if isinstance(error, TuneSentimentError) else f"{type(error).__name__}: {said}"


def of_the_disk(error: BaseException) -> str | None:
    """What the system says where the disk takes no more, here or in a worker."""
    cause = getattr(error, "cause", error)  # of a task in a worker
    said = [os.strerror(number) for number in DISK_ERRORS if os.strerror(number) in str(cause)]
    return said[0] if said else None


@contextmanager
def reading(folder: Path) -> Generator[None, None, None]:
    """Say in one line that a study's records are not what was written there.

    Raises:
        StartError: If the body cannot read them.
    """
    try:
        yield
    except TuneSentimentError:
        raise
    except UNREADABLE as error:
        if of_the_disk(error):
            raise
        raise StartError(f"{folder} cannot be read ({reason(error)}); move it away") from error
