"""Model and data from a hub: first online, then from the cache with the hub gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_commands import NOBODY, Ended, look
from tests.hub_content import DISTILBERT, OPINIONS, contents
from tests.hub_server import Hub, running_hub

pytestmark = pytest.mark.slow
SPLITS = "800 train, 200 validation (0.0 %), 200 test (0.0 %)"
QUICK = 15  # seconds: no answer is waited for


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub(contents()) as hub:
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(hub: Hub, home: Path) -> Ended:
    """Rotten Tomatoes and DistilBERT, fetched into an empty cache."""
    return look(hub.address, home)


@pytest.fixture(scope="module")
def sentences(hub: Hub, home: Path, online: Ended) -> Ended:
    return look(hub.address, home, dataset="sst2")


def test_data_and_model_come_from_the_hub(online: Ended, hub: Hub) -> None:
    assert online.code == 0, online.err
    assert SPLITS in online.out
    assert online.err == ""
    files = {path.rpartition("/")[2] for path in hub.paths() if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json", "test.parquet"} <= files


def test_no_weights_that_could_hold_code_are_fetched(online: Ended, hub: Hub) -> None:
    assert any(DISTILBERT in path for path in hub.paths())
    assert not [path for path in hub.paths() if path.endswith(".bin")]


def test_with_the_hub_gone_the_same_comes_from_the_cache(online: Ended, home: Path) -> None:
    again = look(NOBODY, home)
    assert (again.code, again.out, again.err) == (0, online.out, "")
    assert again.seconds < QUICK


def test_sst2_is_cut_by_whole_sentences_and_its_hidden_labels_are_left(sentences: Ended) -> None:
    assert sentences.code == 0, sentences.err
    assert "3,300 train, 1,000 validation (0.0 %), 40 test (0.0 %)" in sentences.out


def test_with_the_hub_gone_sst2_comes_from_the_cache(sentences: Ended, home: Path) -> None:
    again = look(NOBODY, home, dataset="sst2")
    assert (again.code, again.out, again.err) == (0, sentences.out, "")


def test_a_hub_dataset_of_plain_files_is_read_as_they_are(
    hub: Hub, online: Ended, home: Path
) -> None:
    done = look(hub.address, home, dataset=OPINIONS, model="tiny")
    assert done.code == 0, done.err
    assert "27 train, 3 validation" in done.out
    assert "classes: bad, good" in done.out
    again = look(NOBODY, home, dataset=OPINIONS, model="tiny")
    assert (again.code, again.out, again.err) == (0, done.out, "")


def test_an_empty_cache_without_a_hub_is_said_soon_and_with_what_to_do(tmp_path: Path) -> None:
    done = look(NOBODY, tmp_path)
    assert done.code == 3
    assert f"{NOBODY} cannot be reached" in done.error
    assert "--model minilm" in done.error
    assert done.seconds < QUICK
    data = look(NOBODY, tmp_path, model="tiny")
    assert data.code == 3
    assert "--data-dir" in data.error
    assert "--dataset demo needs no network" in data.error
    assert data.seconds < QUICK


def test_a_network_that_was_switched_off_is_not_blamed_on_the_hub(tmp_path: Path) -> None:
    done = look(NOBODY, tmp_path, HF_HUB_OFFLINE="1")
    assert done.code == 3
    assert "HF_HUB_OFFLINE is set" in done.error


@pytest.mark.parametrize("option", ["model", "dataset"])
def test_a_repository_that_is_not_there_may_be_a_private_one(
    option: str, hub: Hub, online: Ended, home: Path
) -> None:
    done = look(hub.address, home, **{"model": "tiny", option: "somebody/private"})
    assert done.code == 3
    assert "somebody/private: it is not there, or not for everybody" in done.error
    assert "hf auth login" in done.error


def test_a_download_that_breaks_off_once_is_made_again(
    hub: Hub, online: Ended, tmp_path: Path
) -> None:
    with hub.fails("cut once", "/model.safetensors"):
        done = look(hub.address, tmp_path)
    assert (done.code, done.err) == (0, "")
    fingerprints = [line for line in online.out.splitlines() if "  model  " in line]
    assert fingerprints
    assert fingerprints[0] in done.out
