"""Beginning with winners that are stored in an object store, on a machine that has none of them."""

from pathlib import Path

import pytest

import run_search
from tests.store.conftest import Machine
from tests.test_prior import LORA, sources, store
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.objects import Objects, StorageError
from tune_sentiment.options import build_parser
from tune_sentiment.places import results_folder
from tune_sentiment.study import Study

pytestmark = pytest.mark.slow


def planned(results: str, uri: str) -> Study:
    words = [*LORA, "--results", results, "--warm-start", uri]
    return run_search.plan(build_parser().parse_args(words))[0][-1]


@pytest.mark.parametrize("is_one_place", [True, False], ids=["the same", "a folder"])
def test_winners_in_a_store_are_taken_and_kept_when_they_are_gone(
    is_one_place: bool, uri: str, machine: Machine, tmp_path: Path
) -> None:
    store(results_folder(uri), "theirs")
    machine("there")
    results = uri if is_one_place else str(tmp_path / "results")
    begun = planned(results, uri)
    assert sources(begun) == ["theirs"]
    StudyFolder(results_folder(results) / begun.id).write_study(begun.describe())
    objects = Objects(uri)
    objects.delete([found.name for found in objects.below("theirs")])
    machine("elsewhere")
    assert planned(results, uri).id == begun.id


def test_a_store_that_is_not_there_is_no_matter_to_a_study_that_was_begun(
    uri: str, machine: Machine, tmp_path: Path
) -> None:
    store(results_folder(uri), "theirs")
    results = str(tmp_path / "results")
    begun = planned(results, uri)
    machine("elsewhere")
    with pytest.raises(StorageError, match="no-bucket"):
        planned(results, "s3://no-bucket/x")
    StudyFolder(Path(results) / begun.id).write_study(
        {**begun.describe(), "asked": {"warm_start": "s3://no-bucket/x"}}
    )
    assert planned(results, "s3://no-bucket/x").id == begun.id
