"""Whether a cluster's node can work in an object store, asked before the first trial."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.conftest import Machine, stored
from tests.store.s3_server import KEYS, Asked, Road
from tune_sentiment import nodes, places
from tune_sentiment.durable import write_text
from tune_sentiment.provenance import versions
from tune_sentiment.uri import SECONDS_VARIABLE
from tune_sentiment.working_copy import WorkingCopy

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@contextmanager
def elsewhere(held: WorkingCopy) -> Iterator[None]:
    """As in a process of another machine, which has joined no store and has nothing here."""
    kept = places.MIRRORS[:]
    hidden = held.root.rename(held.root.with_name("hidden"))
    places.MIRRORS.clear()
    try:
        yield
    finally:
        places.MIRRORS[:] = kept
        if held.root.is_dir():
            for path in sorted(held.root.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            held.root.rmdir()
        else:
            held.root.unlink(missing_ok=True)
        hidden.rename(held.root)


class Asking:
    """A command that has asked a node what it sees."""

    def __init__(self, uri: str) -> None:
        self.uri, self.results = uri, places.results_folder(uri)
        copy = places.copy_of(self.results)
        assert copy is not None
        self.copy, self.marks = copy, self.results / ".nodes-1.tmp"
        write_text(self.marks / "asked", "content")

    def trouble(self, content: str = "content") -> str | None:
        with elsewhere(self.copy):
            found = nodes.look_around(self.marks, self.copy.place, content, "n1")
        seen = nodes.fetched(self.marks / "n1")
        return nodes.trouble_with("node b", found, self.results, has_answered=seen)


@pytest.fixture
def asking(uri: str, machine: Machine) -> Asking:
    return Asking(uri)


def test_one_that_may_list_get_put_and_delete_is_fine_and_leaves_its_answer(
    asking: Asking, road: Road
) -> None:
    road.asked.clear()
    assert asking.trouble() is None
    assert stored(asking.uri) == {".nodes-1.tmp/asked", ".nodes-1.tmp/n1"}
    assert {asked.method for asked in road.asked} >= {"GET", "PUT", "POST"}  # which deletes
    check = nodes.NodeCheck(asking.results, print)
    check.marks = asking.marks
    check.close()
    assert stored(asking.uri) == set()
    assert not asking.marks.exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_one_that_may_not_is_named_with_what_it_needs(
    method: str, asking: Asking, road: Road
) -> None:
    def rule(asked: Asked) -> str | None:
        return "refused" if asked.method == method else None

    with road.ruled(rule), elsewhere(asking.copy):
        found = nodes.look_around(asking.marks, asking.copy.place, "content", "n1")
    said = str(nodes.trouble_with("node b", found, asking.results, has_answered=True))
    assert said.startswith(f"node b cannot work in {asking.uri}: ")
    assert "are the environment's credentials right" in said
    assert str(asking.results) in said
    assert not any(key in said for key in KEYS.values())


def test_one_without_credentials_is_named(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        for name in KEYS:
            there.delenv(name)
        there.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # as on no cloud's machine
        there.setenv(SECONDS_VARIABLE, "1")
        with elsewhere(asking.copy):
            found = nodes.look_around(asking.marks, asking.copy.place, "content", "n1")
    assert "no credentials" in found["trouble"]


def test_one_that_asks_another_store_is_named(asking: Asking) -> None:
    assert "another folder is there" in str(asking.trouble("what another command wrote"))
    asking.copy.objects.delete([".nodes-1.tmp/asked"])
    assert "what this command wrote there is not seen" in str(asking.trouble())


def test_one_that_cannot_write_where_the_commands_copy_stands_is_named(asking: Asking) -> None:
    with elsewhere(asking.copy):
        asking.copy.root.write_text("a file, or somebody else's folder")
        found = nodes.look_around(asking.marks, asking.copy.place, "content", "n1")
    assert str(asking.copy.root) in found["trouble"]
    assert "irectory" in found["trouble"]


def test_one_without_the_stores_library_is_named(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nodes.needed(None) == versions()
    with monkeypatch.context() as there, elsewhere(asking.copy):
        there.setitem(sys.modules, "obstore", None)
        there.setattr(nodes, "version_of", lambda name: f"{name}=none")
        found = nodes.look_around(asking.marks, asking.copy.place, "content", "n1")
    said = nodes.trouble_with("node b", found, asking.results, has_answered=False)
    assert str(said).startswith("node b has obstore=none, this machine python=")
    assert str(said).endswith(nodes.needed(asking.copy.place).split()[-1])
    assert not Path(asking.marks / "n1").exists()
