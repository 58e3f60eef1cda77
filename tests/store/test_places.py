"""Which URIs and names are taken, and that none leads out of a working copy or into a store."""

import os
from pathlib import Path

import pytest

from tests.growing import Growing
from tests.store.conftest import Machine, stored
from tests.store.s3_server import Road
from tune_sentiment import places
from tune_sentiment.errors import UsageError
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.objects import StorageError
from tune_sentiment.places import address_of, results_folder
from tune_sentiment.uri import checked_uri
from tune_sentiment.working_copy import LEDGER

pytestmark = pytest.mark.slow


def test_nothing_leads_out_of_a_working_copy(
    uri: str, machine: Machine, road: Road, tmp_path: Path
) -> None:
    Growing(results_folder(uri))
    names = [".hidden/trials/x.json", "lora/trials/.lease", "lora/.lease", "..x/trials/x.json"]
    names += ["lora/ray/tune/tuner.pkl", "lora/checkpoints/k/1.json", "lora/winner/code.py"]
    for name in names:
        road.straight("PUT", f"/{uri.removeprefix('s3://')}/{name}", b"{}")
        assert not LEDGER.fullmatch(name)
    machine("there")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    root = results_folder(uri)
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {p.relative_to(root).as_posix() for p in made if p.is_relative_to(root)} == {
        ".storage",
        ".versions.json",
        "lora/study.json",
    }
    assert {path.name for path in made if not path.is_relative_to(root)} == {"lock"}


@pytest.mark.parametrize("name", ["../../evil/x.json", "..%2Ftrials/x.json", "/x.json"])
def test_a_name_that_leads_elsewhere_is_refused(
    name: str, uri: str, machine: Machine, road: Road
) -> None:
    road.straight("PUT", f"/{uri.removeprefix('s3://')}/s/{name}", b"{}")
    with pytest.raises(StorageError, match="a name that no file can have"):
        results_folder(uri)


def test_a_search_that_is_followed_has_its_followers_notes_in_the_store(
    uri: str, machine: Machine
) -> None:
    root = results_folder(uri)
    Growing(root)
    places.MIRRORS.remove(copy := places.copy_of(root))  # as in the follower's own process
    folder = results_folder(str(root / "lora"))
    assert address_of(folder) == f"{uri}/lora"
    StudyFolder(folder).write_comparison("| a |\n")
    assert "lora/comparison.md" in stored(uri)
    os.close(copy.lock)


def test_a_folder_elsewhere_names_no_store(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / ".storage").write_text("s3://somebody/elses")
    assert results_folder(str(tmp_path / "results")) == tmp_path / "results"
    assert address_of(tmp_path / "results") == str(tmp_path / "results")


WRONG = ["s3://", "s3:///x", "s3://key:secret@bucket/x", "s3://bucket/x?y=1", "s3://b/../x"]
WRONG += ["ftp://bucket/x", "file:///etc", "s3://b//x", "s3:// b/x", "s3://b/x#y"]


@pytest.mark.parametrize("written", WRONG)
def test_a_uri_that_is_none_is_refused_without_its_password(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_uri(written)
    assert "secret" not in str(caught.value)
