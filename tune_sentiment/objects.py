"""Requests to an object store: opened from a URI, each with a limit, repeated, errors in one line.

Credentials are the environment's, read by the store's library; nothing here sees or prints them.
"""

import os
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tune_sentiment.errors import StartError
from tune_sentiment.uri import repeat_seconds

LOOK_SECONDS = 6.0  # the same for the first request: a wrong address is to be told soon
LARGE_FACTOR = 12  # times as long for a part of a large file
PART_BYTES = 8 << 20
PARTS_AT_A_TIME = 2  # so that each has its share of a slow line
STATUS = re.compile(r"status code: (\d+)")
CLOUD = re.compile(r"/latest/(api|meta-data)|//(169\.254\.|metadata\.)")  # of keys
CODE = re.compile(r"<Code>(\w+)</Code>")

Version = Mapping[str, str]  # what identifies an object's content, as its store says it


class StorageError(StartError):
    """The object store did not do what was asked; nothing that it acknowledged is lost."""


@dataclass(frozen=True)
class Found:
    """An object in a list.

    Args:
        name: Below the URI, without a slash in front.
        size: In bytes.
        version: Changes with its content.
        written_at: By the store's clock, to the second.
    """

    name: str
    size: int
    version: str
    written_at: datetime


class Objects:
    """The objects below a URI.

    Args:
        uri: As ``checked_uri`` returns it.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        seconds = repeat_seconds()
        self._first = _store(uri, min(seconds, LOOK_SECONDS))
        self._small = _store(uri, seconds)
        self._large = _store(uri, LARGE_FACTOR * seconds)

    def put(self, name: str, content: Path) -> Version:
        """Store a file whole, in place of what is there."""
        import obstore

        with self._asking(name):
            if content.stat().st_size <= PART_BYTES:
                return _version(obstore.put(self._small, name, content.read_bytes()))
            return _version(
                obstore.put(
                    self._large,
                    name,
                    content,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_A_TIME,
                )
            )

    def put_if(self, name: str, content: bytes, version: Version | None) -> Version | None:
        """Store an object if nobody has since; returns its version, or ``None`` if somebody has.

        Args:
            name: Its name.
            content: All of it.
            version: What it is to replace; ``None`` if there must be none.
        """
        import obstore
        from obstore import exceptions

        with self._asking(name):
            try:
                mode: Any = "create" if version is None else dict(version)
                return _version(obstore.put(self._small, name, content, mode=mode))
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return None
            except FileNotFoundError:
                if version is None:  # it is the bucket that is missing
                    raise
                return None

    def get(self, name: str) -> tuple[bytes, Version, datetime] | None:
        """An object's content, version and time; ``None`` if there is none."""
        import obstore

        with self._asking(name):
            try:
                found = obstore.get(self._small, name)
                content, about = bytes(found.bytes()), found.meta
            except FileNotFoundError:
                return None
        return content, _version(about), about["last_modified"]

    def download(self, name: str, path: Path) -> bool:
        """Write an object to a file, a part at a time; whether there is one."""
        import obstore

        with self._asking(name):
            try:
                about = obstore.head(self._small, name)
                tag: Any = about["e_tag"]
                with path.open("wb") as file:
                    for start in range(0, about["size"], PART_BYTES):
                        end = min(start + PART_BYTES, about["size"])
                        options: Any = {"range": (start, end), "if_match": tag}
                        part = obstore.get(self._large, name, options=options)
                        file.write(part.bytes())
            except FileNotFoundError:
                return False
        return True

    def head(self, name: str) -> Found | None:
        """What a list would say of an object; ``None`` if there is none."""
        import obstore

        with self._asking(name):
            try:
                return _found(obstore.head(self._small, name))
            except FileNotFoundError:
                return None

    def below(self, folder: str = "", *, is_first: bool = False) -> list[Found]:
        """Every object below a folder.

        Args:
            folder: Its name; all there is if not given.
            is_first: Whether this is to find out if there is such a store.
        """
        import obstore

        with self._asking(folder):
            store = self._first if is_first else self._small
            return [
                _found(about) for batch in obstore.list(store, folder or None) for about in batch
            ]

    def names(self, folder: str) -> set[str]:
        """What stands directly in a folder, folders included."""
        import obstore

        with self._asking(folder):
            found = obstore.list_with_delimiter(self._small, folder or None)
        paths = [*found["common_prefixes"], *(about["path"] for about in found["objects"])]
        return {path.rpartition("/")[2] for path in paths}

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; none of them need be there."""
        import obstore

        if listed := list(names):
            with self._asking(listed[0]):
                obstore.delete(self._small, listed)

    @contextmanager
    def _asking(self, name: str) -> Generator[None, None, None]:
        """One request.

        Raises:
            StorageError: If it fails, in one line without what the store's answer may quote.
        """
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            shown = "/".join(filter(None, [self.uri, name]))
            raise StorageError(f"{shown}: {_reason(error)}") from None


def _store(uri: str, seconds: float) -> Any:
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    limit = timedelta(seconds=seconds / 2)
    http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    options: Any = {"timeout": limit, "connect_timeout": limit, "allow_http": http}
    pauses = {"init_backoff": 0.1, "max_backoff": seconds / 5}
    retry: Any = {
        "max_retries": 20,
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": {
            **{name: timedelta(seconds=pause) for name, pause in pauses.items()},
            "base": 2,
        },
    }
    make: Callable[..., Any] = from_url
    try:
        return make(uri, client_options=options, retry_config=retry)
    except (BaseError, ValueError) as error:
        first = str(error).partition("\n")[0][:200]
        raise StorageError(f"{uri} cannot be opened: {first}") from None


def _version(about: Any) -> Version:
    return {name: about[name] for name in ("e_tag", "version") if about.get(name) is not None}


def name_of(version: Version) -> str:
    """A version in one word, the same whether a put, a list or a get told it."""
    return version.get("e_tag") or version.get("version") or ""


def _found(about: Any) -> Found:
    shown = name_of(_version(about))
    return Found(about["path"], about["size"], shown, about["last_modified"])


def _reason(error: Exception) -> str:
    """Why a request failed, in our words: the store's answer may quote a key."""
    text = str(error)
    if "invalid path" in text:
        return "an object there has a name that no file can have; remove it"
    status, code = STATUS.search(text), CODE.search(text)
    said = " ".join(found[1] for found in (status, code) if found)
    if isinstance(error, OSError) and not status:
        return error.strerror or type(error).__name__
    if code and code[1] == "NoSuchBucket":
        return "there is no such bucket"
    if status and status[1] == "301":
        return f"is not in this region ({said}): set AWS_REGION"
    if status and status[1] in ("401", "403"):
        return f"refused ({said}): are the environment's credentials right, and may they write?"
    if status:
        return f"refused ({said})"
    if CLOUD.search(text):
        return "no credentials; set those of its store in the environment (docs/storage.md)"
    return "no answer. What it has acknowledged is kept; the same command goes on once it answers"
