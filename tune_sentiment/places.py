"""The only place that knows a URI from a folder: whoever wants a results folder gets a path.

A working copy of a URI is one command's alone, so each command opens the first that is free; what
an earlier one left in it is used where it is still what the store has.
"""

import atexit
import fcntl
import os
from hashlib import sha256
from pathlib import Path

from tune_sentiment.durable import MIRRORS, mirror_of
from tune_sentiment.errors import UsageError
from tune_sentiment.ledger import WINNER_FILE
from tune_sentiment.objects import StorageError
from tune_sentiment.paths import exists, is_folder, user_path
from tune_sentiment.tiny import cache_folder
from tune_sentiment.uri import checked_uri, is_uri
from tune_sentiment.working_copy import MARK, Place, WorkingCopy


def check_results(written: str) -> None:
    """Refuse what cannot be a results folder, before anything is asked of a store.

    Raises:
        UsageError: If it is one of these.
    """
    if is_uri(written):
        checked_uri(written)
    elif exists(folder := user_path(written).absolute()) and not is_folder(folder):
        raise UsageError(f"--results {written} is not a folder")


def results_folder(written: str) -> Path:
    """The folder that somebody means: of a URI its working copy, with every ledger brought down.

    Raises:
        UsageError: If it is not one that can be.
        StorageError: If the store does not answer, refuses, or is not there.
    """
    if not is_uri(written):
        folder = user_path(written)
        return _of_another(folder) or folder
    uri = checked_uri(written)
    opened = [m for m in MIRRORS if isinstance(m, WorkingCopy) and m.place.uri == uri]
    copy = opened[0] if opened else _opened(uri)
    try:
        copy.bring_ledgers(is_first=not opened)
    except StorageError:
        copy.close()
        raise
    return copy.root


def winner_at(written: str) -> Path:
    """A study's folder, or a winner's; of a URI with all that is in its winner's brought down."""
    folder = results_folder(written) if is_uri(written) else user_path(written)
    if is_uri(written) and (copy := copy_of(folder)):
        for place in (folder, folder / "winner"):
            if WINNER_FILE in copy.names(place):
                copy.bring(place, lambda name: True)
    return folder


def copy_of(path: Path) -> WorkingCopy | None:
    """The working copy that a path stands in; ``None`` for a plain one."""
    found = mirror_of(path)
    return found if isinstance(found, WorkingCopy) else None


def address_of(path: Path) -> str:
    """What a person calls a path: the URI of one in a working copy."""
    copy = copy_of(path)
    return copy.address(path) if copy else str(path)


def place_of(path: Path) -> Place | None:
    """What a worker is told of the working copy that a path stands in."""
    copy = copy_of(path)
    return copy.place if copy else None


def join(place: Place | None) -> None:
    """Have a worker's writes reach the store, too."""
    if place is not None and copy_of(place.root) is None:
        MIRRORS.append(WorkingCopy(place))


def _opened(uri: str) -> WorkingCopy:
    """The first working copy of a URI that no other command has; a lock ends with its process."""
    name = sha256(uri.encode()).hexdigest()[:16]
    number = 0
    while True:
        folder = cache_folder() / "storage" / name / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(f"cannot write in {folder}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            os.close(descriptor)
            number += 1
    root = folder.resolve() / uri.rpartition("/")[2]  # a study's folder is called as the study
    copy = WorkingCopy(Place(uri, root), descriptor)
    root.mkdir(exist_ok=True)
    (root / MARK).write_text(uri, encoding="utf-8")
    copy.recall()
    MIRRORS.append(copy)
    atexit.register(copy.remember)
    return copy


def _of_another(folder: Path) -> Path | None:
    """A path in the working copy of another command of ours, such as the search that it follows.

    Its changes then reach the store, too. Only below our own cache: elsewhere a file could name
    somebody else's store.
    """
    ours = (cache_folder() / "storage").resolve()
    try:
        resolved = folder.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, impossible names
        return None
    for root in (resolved, resolved.parent):
        if root.is_relative_to(ours) and (root / MARK).is_file():
            join(Place(checked_uri((root / MARK).read_text(encoding="utf-8")), root))
            return resolved
    return None
