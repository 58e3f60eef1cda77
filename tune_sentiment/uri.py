"""Which URIs are results folders, and how long their stores are waited for."""

import os
import re
from importlib.util import find_spec

from tune_sentiment.errors import UsageError

SCHEMES = ("s3", "gs", "az")
PACKAGE = "obstore"
URI = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[A-Za-z0-9][\w.-]*)(?P<prefix>(/[^/?#]+)*)/?")
SECONDS_VARIABLE = "TUNE_SENTIMENT_STORAGE_SECONDS"
SECONDS = 20.0  # for which a request is repeated; one try has half as long


def is_uri(written: str) -> bool:
    """Whether somebody means an object store."""
    return "://" in written


def checked_uri(written: str) -> str:
    """A URI without a slash at its end.

    Raises:
        UsageError: If it is none that can be read, or if its library is not installed.
    """
    found = URI.fullmatch(written)
    if found is None or {".", ".."} & set(written.split("/")):
        scheme = written.partition("://")[0]
        shown = scheme if scheme.isalnum() else "it"  # the rest may hold a password
        raise UsageError(f"a URI is like s3://bucket/prefix, without a password; {shown}://… isn't")
    if found["scheme"] not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f"no object store is called {found['scheme']}://. Known: {known}")
    if find_spec(PACKAGE) is None:
        raise UsageError(f"{written} needs {PACKAGE}: pip install 'tune_sentiment[storage]'")
    return written.rstrip("/")


def repeat_seconds() -> float:
    """How long a request is repeated before it has failed.

    Raises:
        UsageError: If the environment's is not a number above 0.
    """
    text = os.environ.get(SECONDS_VARIABLE)
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{SECONDS_VARIABLE} wants seconds above 0, got '{text}'")
    return seconds


def longest_request() -> float:
    """Seconds after which a small object is written or will never be."""
    return 1.5 * repeat_seconds()
