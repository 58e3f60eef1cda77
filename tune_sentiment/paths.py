"""Paths as people write them: nothing they can write ends in a traceback."""

from pathlib import Path

from tune_sentiment.errors import UsageError


def user_path(written: str) -> Path:
    """The path, with ``~`` spelled out.

    Raises:
        UsageError: If there is no such user.
    """
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise UsageError(f"no such user in '{written}'") from error


def exists(path: Path) -> bool:
    """Whether something is there, a broken link included; ``False`` for an impossible name."""
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; ``False`` for an impossible name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, whatever links are on the way."""
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError, ValueError):
        return False
