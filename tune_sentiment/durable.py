"""Files that survive: written to a temporary name, flushed to the disk, renamed.

A reader sees the old content or the new, never a part. Where a folder is the working copy of an
object store, what is written and deleted here reaches the store first: a local file never says
what the store does not.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from sys import intern  # of thousands of records each field's name is kept once
from typing import Any, Protocol

UNFINISHED = ".tmp"


class Mirror(Protocol):
    """An object store that holds what stands below a folder; paths are those of local files."""

    root: Path

    def put(self, path: Path, content: Path) -> None:
        """Store a file's content under the path's name."""

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""

    def remove_folder(self, path: Path) -> None:
        """Delete all that is in a folder."""

    def names(self, folder: Path) -> set[str]:
        """What stands directly in a folder."""

    def fetch(self, path: Path) -> bool:
        """Bring a file down; whether the store has it."""


MIRRORS: list[Mirror] = []  # of this process


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


class ReadOnce:
    """The JSON files of a folder, of which each is read once.

    One under whose name another was written since is read again: that is a new file, with an inode
    or a time of its own.

    Args:
        folder: Where they stand; it need not be there.
        read: Gives a file's content.
    """

    def __init__(self, folder: Path, read: Callable[[Path], dict[str, Any]]) -> None:
        self.folder, self.read_file = folder, read
        self._known: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}

    def read(self) -> list[dict[str, Any]]:
        """The contents by file name, each the caller's own."""
        before, self._known = self._known, {}
        for name, stamp in self._stamps():
            known = before.get(name)
            if known is None or known[0] != stamp:
                content = self.read_file(self.folder / name)
                known = stamp, {intern(field): value for field, value in content.items()}
            self._known[name] = known
        return [dict(content) for _, content in self._known.values()]

    def _stamps(self) -> list[tuple[str, tuple[int, int, int]]]:
        if not self.folder.is_dir():
            return []
        with os.scandir(self.folder) as entries:
            found = [(each.name, each.stat()) for each in entries if each.name.endswith(".json")]
        return sorted((name, (s.st_ino, s.st_mtime_ns, s.st_size)) for name, s in found)


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_bytes(path, text.encode())


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns as a parquet file, whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), buffer)
    write_bytes(path, buffer.getvalue())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with writing(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def writing(path: Path) -> Generator[Path, None, None]:
    """A temporary file for the body to write; it takes the name once it is on the disk."""
    make_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        yield unfinished
        _flush(unfinished)
        if mirror := mirror_of(path):
            mirror.put(path, unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def mirror_of(path: Path) -> Mirror | None:
    """The object store that a path stands for a part of; ``None`` for a plain path."""
    return next((mirror for mirror in MIRRORS if path.is_relative_to(mirror.root)), None)


def remove(path: Path) -> None:
    """Delete a file, if it is there."""
    if mirror := mirror_of(path):
        mirror.remove(path)
    path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Delete a folder with all that is in it, if it is there."""
    if mirror := mirror_of(path):
        mirror.remove_folder(path)
    shutil.rmtree(path, ignore_errors=True)


def names_in(folder: Path) -> list[str]:
    """What stands directly in a folder, here or in its object store."""
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if mirror := mirror_of(folder):
        found |= mirror.names(folder)
    return sorted(found)


def fetched(path: Path, *, again: bool = False) -> bool:
    """Whether a file is here, after it was brought down if only its object store has it.

    Args:
        path: The file.
        again: Bring it down even where it is here already, perhaps an older one.
    """
    mirror = mirror_of(path)
    if mirror is None or (path.exists() and not again):
        return path.exists()
    return mirror.fetch(path)


def replace_folder(folder: Path, unfinished: Path, last: str) -> None:
    """Put a folder that is whole in the place of another.

    In an object store, which has no folders, the file named ``last`` goes first and comes back
    last: while it is away there is none that counts.

    Args:
        folder: Its name from now on.
        unfinished: Where it was made.
        last: A file of it without which nobody reads the others.
    """
    flush_folder(unfinished)
    if mirror := mirror_of(folder):
        mirror.remove(folder / last)
        mirror.remove_folder(folder)
        files = [path for path in unfinished.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path == unfinished / last):
            mirror.put(folder / path.relative_to(unfinished), path)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; their names, too, are on the disk before the return."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush(folder.parent)


def remove_unfinished(folder: Path, keep: Collection[Path]) -> None:
    """Delete the temporary files and folders that killed processes left, except below ``keep``."""
    for path in list(folder.rglob(f".*{UNFINISHED}")):
        if any(path.is_relative_to(kept) for kept in keep):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder's files, which others wrote, to the disk."""
    for path in [*folder.iterdir(), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
