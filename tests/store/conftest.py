"""Fixtures of tests against an object store: a server, a URI of the test's own, machines."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.store.s3_server import BUCKET, Road, running_s3
from tune_sentiment.durable import MIRRORS
from tune_sentiment.objects import Objects
from tune_sentiment.uri import SECONDS_VARIABLE

COUNT = count()
Machine = Callable[[str], None]


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with running_s3() as running:
        yield running


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> str:
    """A results folder of the test's own."""
    return f"s3://{BUCKET}/{next(COUNT)}-{request.node.originalname}"


@pytest.fixture
def machine(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Go on as a command on a machine with that name, whose cache is empty at first."""
    for name, value in road.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(SECONDS_VARIABLE, "4")

    def go_on_at(name: str) -> None:
        leave(tmp_path)
        monkeypatch.setenv("TUNE_SENTIMENT_CACHE", str(tmp_path / name))

    go_on_at("here")
    yield go_on_at
    leave(tmp_path)


def leave(root: Path) -> None:
    """Give back every working copy below a folder, as the end of its command does."""
    for mirror in [m for m in MIRRORS if m.root.is_relative_to(root.resolve())]:
        mirror.close()  # type: ignore[attr-defined]


def stored(uri: str) -> set[str]:
    return {found.name for found in Objects(uri).below()}
