"""What must not happen when files of others are read, and how it is seen that it did."""

import pickle
from pathlib import Path
from typing import Any


class Payload:
    """Makes a file wherever it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Payload(canary), protocol=2)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder."""
    found = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in found}
