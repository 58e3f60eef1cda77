"""A study's lock in an object store: an object that its holder renews, and nobody else changes.

Every change of the object is a conditional put on what was read, so that of two who try one wins.
Each makes content of its own: a version never comes back. Whether a lease has run out is asked of
the store's clock alone: the time of an object that was written just now less the lease's own.
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any

from tune_sentiment.errors import StartError
from tune_sentiment.objects import Objects, StorageError, Version
from tune_sentiment.provenance import host, now
from tune_sentiment.uri import longest_request
from tune_sentiment.working_copy import WorkingCopy

NAME = ".lease"
CLOCK = ".clock"  # beside it: written to read the store's clock
ROUNDING = 2.0  # seconds: stores tell times to the second


def lease_seconds() -> float:
    """How long a lease holds: a request that began with half of it left has ended when it ends."""
    return 2 * longest_request()


@contextmanager
def leased(copy: WorkingCopy, folder: Path) -> Generator[None, None, None]:
    """Hold a study's lease for the time of the body; whatever writes below its folder checks it.

    The study's ledger is brought down once it is held: it may have grown since the command looked.

    Raises:
        StartError: If another command holds it; says which, and until when. Also from each write of
            the body once another has taken it over: that is this study's own end, not the store's.
    """
    lease = Lease(copy.objects, folder.relative_to(copy.root).as_posix())
    lease.take()
    ended = Event()
    heart = Thread(target=lease.beat, args=(ended,), daemon=True)
    heart.start()
    copy.guards[folder] = lease.check
    try:
        copy.bring_ledgers(folder)
        yield
    except StorageError:  # the store is gone: the lease runs out by itself
        ended.set()
        raise
    except BaseException:
        ended.set()
        with suppress(StorageError):
            lease.give_back()
        raise
    else:
        ended.set()
        lease.give_back()
    finally:
        copy.guards.pop(folder, None)


class Lease:
    """The lease of one study.

    Args:
        objects: Where it stands.
        study: Name of the study's folder there.
    """

    def __init__(self, objects: Objects, study: str) -> None:
        self.objects, self.study = objects, study
        self.name = f"{study}/{NAME}"
        self.seconds = lease_seconds()
        self.owner = secrets.token_hex(8)
        self.since, self.beats = now(), 0
        self.version: Version | None = None
        self.renewed_at = 0.0
        self.loss: str | None = None
        self.turn = RLock()

    def take(self) -> None:
        """Take it, or take over one that has run out.

        Raises:
            StartError: If it is held.
            StorageError: If the store would give it to two.
        """
        self._take()
        before = self.version
        if self._write(None) or not self._write(before) or self._write(before):
            raise StorageError(
                f"{self.objects.uri}: this store does not honour conditional puts, so it cannot "
                "say who runs a study"
            )

    def _take(self) -> None:
        for _ in range(2):  # it may have been deleted between the two requests
            if self._write(None):
                return
            if (found := self.objects.get(self.name)) is not None:
                break
        else:
            raise StartError(f"study {self.study} has a lease that comes and goes; try again")
        content, version, written_at = found
        about = _read(content)
        if not about["is_free"] and not _is_dead(about):
            left = written_at + timedelta(seconds=about["seconds"]) - self._store_time()
            if left > timedelta(seconds=-ROUNDING):
                until = written_at + timedelta(seconds=about["seconds"])
                raise StartError(
                    f"study {self.study} is being run by {about['holder']} since {about['since']}; "
                    f"its lease holds until {until.isoformat(timespec='seconds')} "
                    f"and is renewed while it runs"
                )
        if not self._write(version):
            raise StartError(f"study {self.study} was taken by another command just now")

    def check(self) -> None:
        """Refuse to go on unless the lease is held for long enough to write something.

        Raises:
            StartError: If it is lost.
            StorageError: If it cannot be renewed.
        """
        with self.turn:
            if self.loss is None and _clock() > self.renewed_at + self.seconds / 2:
                self._renew()
            if self.loss is not None:
                raise StartError(self.loss)

    def beat(self, ended: Event) -> None:
        """Renew it every third of its length until ``ended``, or until it is lost."""
        while not ended.wait(self.seconds / 3):
            with self.turn:
                if ended.is_set() or self.loss is not None:
                    return
                try:
                    self._renew()
                except StorageError as error:  # check says so if it matters
                    print(f"a lease could not be renewed: {error}", file=sys.stderr)

    def give_back(self) -> None:
        """Let others take it at once."""
        with self.turn:
            if self.loss is None:
                self._write(self.version, is_free=True)

    def _renew(self) -> None:
        if self._write(self.version):
            return
        found = self.objects.get(self.name)
        about = _read(found[0]) if found else None
        if found and about and about["owner"] == self.owner:  # the answer to our put was lost
            self.version = found[1]
            if self._write(self.version):
                return
        by = f"taken over by {about['holder']}" if about else "deleted"
        self.loss = (
            f"the lease of study {self.study} was {by}; this command writes no more "
            "there. Everything that ended before is kept"
        )

    def _write(self, version: Version | None, *, is_free: bool = False) -> bool:
        self.beats += 1
        began = _clock()  # the store counts from later on
        about = {
            "owner": self.owner,
            "holder": f"process {os.getpid()} on {host()}",
            "process": _process(os.getpid()),
            "since": self.since,
            "seconds": self.seconds,
            "beat": self.beats,
            "is_free": is_free,
        }
        made = self.objects.put_if(self.name, json.dumps(about).encode(), version)
        if made is None:
            return False
        self.version, self.renewed_at = made, began
        return True

    def _store_time(self) -> Any:
        """The store's clock."""
        name = f"{self.study}/{CLOCK}-{self.owner}"
        self.objects.put_if(name, b"", None)
        found = self.objects.head(name)
        self.objects.delete([name])
        if found is None:
            raise StorageError(f"{self.objects.uri}/{name}: it was written and is not there")
        return found.written_at


def _read(content: bytes) -> dict[str, Any]:
    """What a lease says; one that cannot be read is held by somebody for as long as ours would."""
    unknown: dict[str, Any] = {
        "owner": "",
        "holder": "another command",
        "process": None,
        "since": "?",
    }
    unknown |= {"seconds": lease_seconds(), "is_free": False}
    try:
        about = json.loads(content)
        return {**unknown, **about, "seconds": float(about["seconds"])}
    except (ValueError, TypeError, KeyError):
        return unknown


def _clock() -> float:
    """Seconds that go on while the machine sleeps, where it can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _process(pid: int) -> list[Any] | None:
    """What names a process of this machine for ever; ``None`` where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").stat().st_ino
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return [boot, space, pid, stat.rpartition(")")[2].split()[19]]  # when it was started
    except (OSError, IndexError):
        return None


def _is_dead(about: dict[str, Any]) -> bool:
    """Whether a lease's holder was a process of this machine that has ended: it renews no more."""
    held, ours = about["process"], _process(os.getpid())
    if not isinstance(held, list) or len(held) != 4 or ours is None or held[:2] != ours[:2]:
        return False
    return isinstance(held[2], int) and _process(held[2]) != held
