"""A backbone's files on their way to nodes that do not have them: once a node, by the object store.

The files that a node already has are used where they stand, if they are the very same.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray

from tune_sentiment.backbone import Backbone, folder_fingerprint, model_files
from tune_sentiment.tiny import cache_folder

_found: dict[str, Path] = {}  # by fingerprint: what this process has looked for


def delivered(backbone: Backbone) -> Backbone:
    """The same backbone for processes on any node of the running Ray."""
    contents = {path.name: np.fromfile(path, np.uint8) for path in model_files(backbone.place)}
    files = [ray.put(contents)]
    return replace(backbone, fetch=Delivery(backbone.place, backbone.fingerprint, files))


@dataclass(frozen=True)
class Delivery:
    """Says where a process finds the files of a backbone.

    Args:
        place: Where the command found them, maybe on another machine.
        fingerprint: Hash of their contents.
        files: Reference to the contents by name, in a list, so that it stays a reference.
    """

    place: Path
    fingerprint: str
    files: list[Any]

    def __call__(self) -> Path:
        """A folder on this machine with these files and no others; unpacked if there is none."""
        if self.fingerprint not in _found:
            _found[self.fingerprint] = self._find()
        return _found[self.fingerprint]

    def _find(self) -> Path:
        unpacked = cache_folder() / f"model-{self.fingerprint}"
        for folder in (self.place, unpacked):
            if holds(folder, self.fingerprint):
                return folder
        unpack(unpacked, ray.get(self.files[0]))
        return unpacked


def holds(folder: Path, fingerprint: str) -> bool:
    """Whether a folder holds exactly the files with this fingerprint, readable ones."""
    try:
        return folder.is_dir() and folder_fingerprint(folder) == fingerprint
    except OSError:
        return False


def unpack(folder: Path, contents: Mapping[str, Any]) -> None:
    """Write files into a folder of the cache, all of them or none."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, content in contents.items():
        (unfinished / name).write_bytes(content.tobytes())
    try:
        unfinished.rename(folder)
    except OSError:  # another process was first, or a part of it was left there
        if not holds(folder, folder_fingerprint(unfinished)):
            shutil.rmtree(folder)
            unfinished.rename(folder)
        shutil.rmtree(unfinished, ignore_errors=True)
