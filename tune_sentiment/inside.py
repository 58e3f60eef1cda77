"""What keeps writing and deleting inside the results folder, whatever links and records say."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tune_sentiment.errors import StartError, UsageError

KEY = re.compile(r"[A-Za-z0-9]+(-[0-9]+)?")  # of a trial, or of a confirmation run


def is_inside(path: Path, root: Path) -> bool:
    """Whether a path stays in a folder, itself without links, whatever links are on the way."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a circle
        return False


def link_out(folder: Path, root: Path) -> Path | None:
    """The first link that leads out of ``root``: the folder itself, or anything in it.

    ``None`` if there is none.
    """
    inside = root.resolve()
    if not is_inside(folder, inside):
        return folder
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink() and not is_inside(path, inside):
                return path
    return None


def check_study(folder: Path) -> None:
    """Refuse a study's folder with a link out of the results folder.

    Raises:
        StartError: If there is one. Nothing is written or deleted through it.
    """
    if (link := link_out(folder, folder.parent)) is not None:
        raise StartError(f"{link} leads out of {folder.parent}; move what it names there")


def check_beside(folder: Path) -> None:
    """Refuse a folder beside studies, such as trackers' files, with a link out of the results.

    Raises:
        StartError: If there is one, however deep.
    """
    if (link := link_out(folder, folder.parent)) is not None:
        raise StartError(f"{link} leads out of {folder.parent}")


def check_reached(folders: Iterable[Path], roots: Iterable[Path]) -> None:
    """Refuse studies that only a link in a results folder leads to.

    Raises:
        UsageError: If there is one: what is written for it would land elsewhere.
    """
    named = [root.resolve() for root in roots]
    for folder in folders:
        if not any(is_inside(folder, root) for root in named):
            raise UsageError(f"{folder} is reached by a link only; name it itself")


def check_key(key: object, path: Path) -> None:
    """Refuse a key that could name a file elsewhere.

    Raises:
        StartError: If it is none of ours.
    """
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise StartError(f"{path}: {key!r} is not the key of a training")
