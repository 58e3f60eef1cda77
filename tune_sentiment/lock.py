"""One process at a time; the kernel frees a lock however its holder ends.

In an object store, which no kernel watches, a lease stands for the lock (``lease.py``).
"""

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tune_sentiment.errors import StartError
from tune_sentiment.lease import leased
from tune_sentiment.objects import StorageError
from tune_sentiment.places import copy_of
from tune_sentiment.provenance import host, now


@contextmanager
def held(path: Path, what: str) -> Generator[None, None, None]:
    """Hold a lock file for the time of the body; it stays there.

    Args:
        path: The file.
        what: What its holder does, for who comes second.

    Raises:
        StartError: If another process holds it (names that process), or if it is a link.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:  # what a link leads to would be emptied
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise StartError(f"{path} is a link; remove it") from error
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise StartError(f"{what} by {holder}") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {host()} since {now()}\n")
        file.flush()
        yield


@contextmanager
def study_lock(folder: Path) -> Generator[None, None, None]:
    """Hold a study's lock for the time of the body. Other studies are not concerned.

    Raises:
        StartError: If another process holds it; names that process. In an object store, a lease.
    """
    with held(folder / ".lock", f"study {folder.name} is being run"), ExitStack() as stack:
        try:
            if copy := copy_of(folder):
                stack.enter_context(leased(copy, folder))
            yield
        finally:
            if [path.name for path in folder.iterdir()] == [".lock"]:  # nothing came of it
                (folder / ".lock").unlink()
                folder.rmdir()


@contextmanager
def lock_if_free(folder: Path) -> Generator[bool, None, None]:
    """Hold a study's lock if nobody has it; whether it is held.

    Raises:
        StorageError: If the object store does not say who has it.
    """
    with ExitStack() as stack:
        is_held = True
        try:
            stack.enter_context(study_lock(folder))
        except StorageError:
            raise
        except StartError:
            is_held = False
        yield is_held
