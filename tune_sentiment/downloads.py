"""Whether downloaded files are what the hub announced: its library compares their sizes only.

In the library's cache a file is kept under the hash that the hub announced for it.
"""

import hashlib
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tune_sentiment.durable import sha256_of
from tune_sentiment.errors import StartError

HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # of git or sha256; another name says nothing
SHA256_LENGTH = 64
CLOCK_SECONDS = 2.0  # a file system's clock may be behind so far


@contextmanager
def as_announced(kind: str, hub_id: str) -> Generator[None, None, None]:
    """Compare what the body downloads with what the hub announced, also where the body fails.

    Args:
        kind: ``model`` or ``dataset``.
        hub_id: Whose files.

    Raises:
        StartError: If they differ. Such files are deleted from the cache.
    """
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / "--".join([f"{kind}s", *hub_id.split("/")])
    since = time.time() - CLOCK_SECONDS
    try:
        yield
    finally:  # after Ctrl-C, too: the next command would take what is there for whole
        _check(folder, since)


def _check(folder: Path, since: float) -> None:
    blobs = [path for path in (folder / "blobs").glob("*") if HASH.fullmatch(path.name)]
    new = [blob for blob in blobs if blob.stat().st_mtime >= since]
    wrong = [blob for blob in new if not _is_named_by_content(blob)]
    names = set()
    for link in (folder / "snapshots").rglob("*") if wrong else ():
        if link.is_symlink() and link.resolve() in [blob.resolve() for blob in wrong]:
            names.add(link.name)
            link.unlink()
    for blob in wrong:
        blob.unlink()
    if wrong:
        raise StartError(
            f"{', '.join(sorted(names)) or 'a file'} came damaged (another hash than announced) "
            "and was deleted; try again"
        )


def _is_named_by_content(blob: Path) -> bool:
    if len(blob.name) == SHA256_LENGTH:
        return sha256_of(blob) == blob.name
    content = blob.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content)
    return blob.name in (git.hexdigest(), hashlib.sha1(content).hexdigest())  # or a mirror's
