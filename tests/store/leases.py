"""Leases of a study ``s`` as other commands hold, left or lost them."""

from typing import Any

import pytest

from tune_sentiment.errors import StartError
from tune_sentiment.lease import Lease
from tune_sentiment.objects import Objects, StorageError

OVER = -10.0  # seconds of a lease that has run out as soon as it is taken


def lease(uri: str, seconds: float | None = None) -> Lease:
    made = Lease(Objects(uri), "s")
    made.seconds = seconds or made.seconds
    return made


def expired(uri: str) -> Lease:
    """One that was taken and not renewed any more."""
    made = lease(uri, OVER)
    made.take()
    return made


def lost(words: str) -> Any:
    """What is one study's own end: its lease is somebody else's, and the store is as it was."""
    return pytest.raises(
        StartError, match=words, check=lambda error: not isinstance(error, StorageError)
    )
