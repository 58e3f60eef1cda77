"""A results folder in an object store: the store is the truth, a local copy is what is read.

Below it every durable write and deletion reaches the store first (``durable.Mirror``). The store
is always right: what it lacks is deleted here, what differs comes down again.
"""

import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tune_sentiment.durable import MIRRORS, UNFINISHED
from tune_sentiment.objects import Found, Objects, StorageError, name_of

# What a ledger is read from, in a study's folder or one below: small, and all there is to know.
LEDGER = re.compile(
    r"(?:(?!\.)[^/\\]+/)?(?:(?:study|selection|forecast)\.json|comparison\.md|test-openings\.jsonl"
    r"|texts\.parquet|winner/(?:winner\.json|README\.md)"
    r"|(?:trials|evaluations|confirm|tracking)/(?!\.)[^/\\]+\.(?:jsonl?|parquet))"
)
OWN = ("ray", "tracking")  # of a study: caches, and files of others that are no part of it
AT_A_TIME = 16
MARK = ".storage"  # in a working copy: its URI
INDEX = ".versions.json"  # in a working copy: what is known to be as the store has it


@dataclass(frozen=True)
class Place:
    """A working copy as it is told to workers; the same path on each of their machines.

    Args:
        uri: Of the results folder.
        root: The local folder.
    """

    uri: str
    root: Path


class WorkingCopy:
    """A local folder and the object store that it is a copy of.

    Args:
        place: Both.
        lock: Descriptor of the file that says whose it is; ``None`` where another process has that.
    """

    def __init__(self, place: Place, lock: int | None = None) -> None:
        self.place, self.root, self.lock = place, place.root, lock
        self.objects = Objects(place.uri)
        self.guards: dict[Path, Callable[[], None]] = {}  # of studies, called before a change
        self.known: dict[str, list[object]] = {}

    def address(self, path: Path) -> str:
        """What a person calls a path in it."""
        return "/".join(filter(None, [self.place.uri, self._name(path)]))

    def put(self, path: Path, content: Path) -> None:
        """Store a file's content under the path's name."""
        self._check(path)
        version = self.objects.put(self._name(path), content)
        self.known[self._name(path)] = [name_of(version), *_stat(content)]

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""
        self._check(path)
        self.objects.delete([self._name(path)])

    def remove_folder(self, path: Path) -> None:
        """Delete all that is in a folder."""
        self._check(path)
        self.objects.delete([found.name for found in self.objects.below(self._name(path))])

    def names(self, folder: Path) -> set[str]:
        """What stands directly in a folder."""
        return self.objects.names(self._name(folder))

    def fetch(self, path: Path) -> bool:
        """Bring a file down; whether the store has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
        try:
            is_there = self.objects.download(self._name(path), unfinished)
            if is_there:
                unfinished.replace(path)
            else:
                path.unlink(missing_ok=True)
        finally:
            unfinished.unlink(missing_ok=True)
        return is_there

    def bring(
        self, folder: Path, is_wanted: Callable[[str], bool], *, is_first: bool = False
    ) -> None:
        """Make a folder like the store's: delete what that lacks, bring down what is wanted.

        Args:
            folder: In the working copy.
            is_wanted: Says by an object's name whether it is to be here.
            is_first: Whether nothing was asked of this store before.
        """
        found = {f.name: f for f in self.objects.below(self._name(folder), is_first=is_first)}
        for path in sorted(folder.rglob("*")):
            name = self._name(path)
            if path.is_dir() or _is_own(name):
                continue
            about = found.get(name)
            with suppress(FileNotFoundError):  # a worker of a killed command may still end here
                if about is None or about.size != path.lstat().st_size:
                    path.unlink()
        missing = [f for f in found.values() if is_wanted(f.name) and not self._is_here(f)]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(self._bring_one, missing))
        self.remember()

    def bring_ledgers(self, folder: Path | None = None, *, is_first: bool = False) -> None:
        """Bring down the small files that ledgers are read from."""
        self.bring(
            folder or self.root, lambda name: bool(LEDGER.fullmatch(name)), is_first=is_first
        )

    def close(self) -> None:
        """Let another command have it."""
        self.remember()
        if self in MIRRORS:
            MIRRORS.remove(self)
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def remember(self) -> None:
        """Note which files are as the store has them; losing the note costs a download."""
        if self.lock is None:  # the note is its owner's
            return
        with suppress(OSError):
            unfinished = self.root / f"{INDEX}.{os.getpid()}{UNFINISHED}"
            unfinished.write_text(json.dumps(self.known), encoding="utf-8")
            unfinished.replace(self.root / INDEX)

    def recall(self) -> None:
        """Read that note."""
        with suppress(OSError, ValueError):
            self.known = dict(json.loads((self.root / INDEX).read_text(encoding="utf-8")))

    def _name(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        return "" if name == "." else name

    def _check(self, path: Path) -> None:
        for folder, guard in list(self.guards.items()):
            if path.is_relative_to(folder):
                guard()

    def _is_here(self, found: Found) -> bool:
        path = self.root / found.name
        known = self.known.get(found.name)
        return path.is_file() and known == [found.version, *_stat(path)]

    def _bring_one(self, found: Found) -> None:
        path = self.root / found.name
        try:
            if self.fetch(path):
                self.known[found.name] = [found.version, *_stat(path)]
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _stat(path: Path) -> list[int]:
    about = path.stat()
    return [about.st_size, about.st_mtime_ns]


def _is_own(name: str) -> bool:
    """Whether a file is this machine's affair: hidden, Ray's or a tracker's."""
    parts = name.split("/")
    return any(part.startswith(".") for part in parts) or bool({*parts[:2]} & {*OWN})
