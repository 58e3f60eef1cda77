"""A disk of its own for a search, which can be full."""

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self


class NoDiskError(Exception):
    """Only root may mount one."""


class Disk:
    """A file system in memory.

    Args:
        folder: Where it is mounted; made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(self.folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoDiskError(done.stderr.strip())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave no room beside what is there."""
        self._resize(str(shutil.disk_usage(self.folder).used))

    def make_room(self) -> None:
        self._resize("512m")

    def _resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)
