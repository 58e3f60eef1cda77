"""``python -m tune_sentiment.track STUDY… --track NAMES``: log studies' ledgers to trackers.

Each tracker has a process of its own, so one that hangs, raises or dies is the affair of none
else. What is logged already is not logged again. ``run_search.py --track`` starts this beside a
search, with ``--follow``, and never waits for it before the end.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen
from threading import Event, Thread
from typing import TextIO

from tune_sentiment.asked import label
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import TuneSentimentError, UsageError, ended_by
from tune_sentiment.followers import command, environment, last_seconds
from tune_sentiment.inside import check_reached
from tune_sentiment.ledger import study_folders
from tune_sentiment.options import Parser
from tune_sentiment.places import results_folder
from tune_sentiment.trackers import PROJECT, TRACKERS, chosen_trackers

PAUSE = 5.0  # seconds between two looks at the ledgers
LONGEST_PAUSE = 300.0  # where a tracker goes on failing
STANDARD_INPUT = 0
KINDNESS = 10  # what the trainings are before: niceness


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    set_environment()
    parser = Parser(prog="python -m tune_sentiment.track", description=__doc__)
    parser.add_argument("studies", nargs="+", help="studies' folders, or results folders")
    parser.add_argument("--track", required=True, help=f"a comma list of {' '.join(TRACKERS)}")
    parser.add_argument("--track-project", default=PROJECT, help="(default: %(default)s)")
    parser.add_argument(
        "--follow", action="store_true", help="until standard input ends; needs one tracker"
    )
    args = parser.parse_args(argv)
    try:
        names = chosen_trackers(args.track)
        project = label("--track-project", args.track_project)
        roots = [results_folder(written).absolute() for written in args.studies]
        if args.follow and len(names) != 1:
            raise UsageError("--follow wants one tracker")
        folders = roots if args.follow else study_folders(roots)
        if not folders:
            raise UsageError(f"no study under {' '.join(args.studies)}")
        check_reached(folders, roots)
        if len(names) > 1:
            return _one_process_each(names, project, folders)
        return _log(names[0], project, folders, follows=args.follow)
    except TuneSentimentError as error:
        return ended_by(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _one_process_each(names: Sequence[str], project: str, folders: Sequence[Path]) -> int:
    words = {name: command(name, project, folders) for name in names}
    started = {name: Popen(words[name], stdin=DEVNULL, env=environment()) for name in names}
    codes = {name: process.wait() for name, process in started.items()}
    return 1 if any(codes.values()) else 0


def _log(name: str, project: str, folders: list[Path], *, follows: bool) -> int:
    """Log to one tracker, in this process; 1 if something could not be logged."""
    from tune_sentiment.tracking.log import Log

    ends_with = os.dup(STANDARD_INPUT) if follows else None
    os.dup2(os.open(os.devnull, os.O_RDONLY), STANDARD_INPUT)  # nobody answers a prompt
    said = sys.stdout if follows else sys.stderr  # a search reads what its follower says
    log = Log(name, project, folders, partial(_say, said))
    if ends_with is None:
        return 0 if log.run(is_last=True) else 1
    os.nice(KINDNESS)
    ended, pause = Event(), PAUSE
    Thread(target=_wait_for_end, args=(ends_with, ended), daemon=True).start()
    while not ended.wait(pause):
        pause = PAUSE if log.run(is_last=False) else min(2 * pause, LONGEST_PAUSE)
    return 0 if log.run(is_last=True) else 1


def _say(said: TextIO, line: str) -> None:
    with suppress(OSError):  # nobody listens any more
        print(line, file=said, flush=True)


def _wait_for_end(ends_with: int, ended: Event) -> None:
    """Wait until nobody holds its other end any more; then time is short, whatever hangs."""
    while os.read(ends_with, 1):
        pass
    signal.alarm(last_seconds())  # the kernel ends this process: no library can be in its way
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
