"""What runs beside a search and logs its ledgers to trackers: a process for each of them.

The search starts them and tells them when it has ended, by closing their standard input. It reads
what they say, and waits for nothing else.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from tune_sentiment.errors import UsageError
from tune_sentiment.places import address_of
from tune_sentiment.progress import say

SECONDS_VARIABLE = "TUNE_SENTIMENT_TRACKING_SECONDS"
SECONDS = 120  # for the last pass, once the search has ended
MARGIN = 5.0  # seconds until one that does not even end by itself is ended


def last_seconds() -> int:
    """Seconds that a tracker gets once the search has ended.

    Raises:
        UsageError: If the environment's is not a whole number above 0.
    """
    text = os.environ.get(SECONDS_VARIABLE, "")
    if text and not (text.isdecimal() and int(text)):
        raise UsageError(f"{SECONDS_VARIABLE} wants whole seconds, got '{text}'")
    return int(text) if text else SECONDS


def command(tracker: str, project: str, folders: Sequence[Path | str]) -> list[str]:
    """The command that logs studies to one tracker."""
    words = [sys.executable, "-m", "tune_sentiment.track", *map(str, folders)]
    return [*words, "--track", tracker, "--track-project", project]


def environment() -> dict[str, str]:
    """The environment in which that command finds this package, wherever it is called from."""
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class Follower:
    """A tracker's process beside a search.

    Args:
        tracker: In TRACKERS.
        project: What it files the studies under.
        folders: The studies'.
    """

    def __init__(self, tracker: str, project: str, folders: Sequence[Path]) -> None:
        self.tracker = tracker
        self.later = command(tracker, project, [address_of(folder) for folder in folders])
        self.process = subprocess.Popen(
            [*command(tracker, project, folders), "--follow"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries' own talk
            env=environment(),
            start_new_session=True,  # a Ctrl-C is not for it
        )
        self.listener = Thread(target=self._listen, daemon=True)
        self.listener.start()

    def leave(self) -> None:
        """Say that the search has ended, and let it log the rest alone."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it may be dead
            self.process.stdin.close()

    def finish(self) -> None:
        """Wait for the rest, as long as it may take; what is missing is told with its command."""
        self.leave()
        try:
            code = self.process.wait(last_seconds() + MARGIN)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            code = self.process.wait()
        self.listener.join(1.0)
        if code:
            say(f"{self.tracker}: not everything was logged; later: {shlex.join(self.later)}")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                say(line.decode(errors="replace").rstrip())
        self.process.wait()  # also where nobody else waits for it


@contextmanager
def following(
    trackers: Sequence[str], project: str, folders: Sequence[Path]
) -> Generator[None, None, None]:
    """Log studies to trackers for the time of the body, and what is left after it.

    Where the body raises nothing is waited for: each logs the rest alone.
    """
    last_seconds()
    followers = []
    for tracker in trackers:
        try:
            followers.append(Follower(tracker, project, folders))
        except OSError as error:  # no memory or no process left for it
            say(f"{tracker}: nothing is logged: {error}")
    try:
        yield
    except BaseException:
        for follower in followers:
            follower.leave()
        raise
    for follower in followers:
        follower.leave()
    for follower in followers:
        follower.finish()
