"""A hub that is slow, refuses, breaks off or sends something else: one clear line, and soon."""

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from tests.hub_commands import Ended, look
from tests.hub_content import ROTTEN_TOMATOES, contents, parquet, reviews
from tests.hub_repos import Repo
from tests.hub_server import FAULTS, running_hub
from tune_sentiment.downloads import as_announced
from tune_sentiment.errors import StartError

pytestmark = pytest.mark.slow
Repos = dict[tuple[str, str], Repo]

AT_ONCE = 4  # most of the time is waiting
SOON = 90  # seconds on a busy machine; alone on an idle one each ends within 15
SHORT = {"HF_HUB_DOWNLOAD_TIMEOUT": "3", "HF_HUB_ETAG_TIMEOUT": "3"}  # instead of 10

MODEL = "cannot load model distilbert/distilbert-base-uncased: "
DATA = f"cannot load dataset {ROTTEN_TOMATOES}: "
DATA_PLACES = ("/datasets/", "/train.parquet")
LATER = "try again later"
# A fault, where, what the line must say, and what it must say to do.
FAILING = [
    ("silent", "", MODEL, "cannot be reached (timed out)", "--model minilm"),
    ("silent", "/api/models", MODEL, "does not answer", LATER),
    ("500", "/api/models", MODEL, "the hub has errors", LATER),
    ("401", "/api/models", MODEL, "not for everybody", "hf auth login"),
    ("403", "/api/models", MODEL, "not for everybody", "ask for access on its page"),
    ("404", "/api/models", MODEL, "is not there", "check the name"),
    ("429", "/api/models", MODEL, "takes no more requests", "some minutes"),
    ("cut", "/model.safetensors", MODEL, "stops in the middle of a file", "--model minilm"),
    ("stalled", "/model.safetensors", MODEL, "stops in the middle of a file", "--model minilm"),
    ("altered", "/model.safetensors", MODEL, "model.safetensors came damaged", "try again"),
    ("silent", "/datasets/", DATA, "does not answer", "--data-dir"),
    ("500", "/datasets/", DATA, "answers with errors (500)", "--data-dir"),
    ("401", "/datasets/", DATA, "not for everybody", "hf auth login"),
    ("cut", "/train.parquet", DATA, "stops in the middle of a file", "--data-dir"),
    ("altered", "/train.parquet", DATA, "train.parquet came damaged", "try again"),
]
# What is cached is used when the hub has troubles.
BORNE = [("silent", ""), ("silent", "/datasets/"), ("500", "")]


@pytest.fixture(scope="module")
def repos() -> Repos:
    return contents()


@pytest.fixture(scope="module")
def filled(repos: Repos, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """A cache with all that is needed, and what was printed."""
    home = tmp_path_factory.mktemp("filled")
    with running_hub(repos) as hub:
        done = look(hub.address, home)
    assert done.code == 0, done.err
    return home, done


@pytest.fixture(scope="module")
def ended(
    repos: Repos, filled: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str, bool], "Future[Ended]"]]:
    """One command for each fault and for an empty or filled cache, several at once."""

    def command(fault: str, where: str, is_filled: bool) -> Ended:
        home = tmp_path_factory.mktemp("home")
        if is_filled:
            shutil.copytree(filled[0], home, symlinks=True, dirs_exist_ok=True)
        with running_hub(repos) as hub, hub.fails(fault, where):
            model = "tiny" if where in DATA_PLACES and not is_filled else "distilbert"
            return look(hub.address, home, model=model, **SHORT)

    cases = [(*row[:2], False) for row in FAILING] + [(*row, True) for row in BORNE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {case: pool.submit(command, *case) for case in cases}


def test_every_fault_of_the_hub_is_tried() -> None:
    assert {row[0] for row in FAILING} | {"cut once"} == set(FAULTS)


@pytest.mark.parametrize(("fault", "where", "what", "words", "advice"), FAILING)
def test_a_fault_ends_soon_in_one_line_that_says_what_to_do(
    fault: str,
    where: str,
    what: str,
    words: str,
    advice: str,
    ended: dict[tuple[str, str, bool], "Future[Ended]"],
) -> None:
    done = ended[fault, where, False].result()
    assert done.code == 3, done.err
    assert done.out == ""
    assert done.error.startswith(f"error: {what}")
    assert words in done.error
    assert advice in done.error
    assert "Without the hub: " in done.error
    assert done.seconds < SOON


@pytest.mark.parametrize(("fault", "where"), BORNE)
def test_what_is_cached_is_used_when_the_hub_has_troubles(
    fault: str,
    where: str,
    filled: tuple[Path, Ended],
    ended: dict[tuple[str, str, bool], "Future[Ended]"],
) -> None:
    done = ended[fault, where, True].result()
    assert (done.code, done.err) == (0, "")
    assert splits(done) == splits(filled[1])
    assert done.seconds < SOON


def splits(done: Ended) -> list[str]:
    """Counts, and the fingerprint of model and data."""
    lines = [line for line in done.out.splitlines() if line.split()[0] in ("dataset", "model")]
    assert len(lines) == 2
    return [*lines, done.out.splitlines()[0]]


def test_other_data_that_can_be_read_is_refused_and_nothing_is_kept_of_it(
    repos: Repos, filled: tuple[Path, Ended], tmp_path: Path
) -> None:
    train = reviews()["train"]
    other = parquet(pd.DataFrame({"text": train.text, "label": 1 - train.label}))
    place = "/train.parquet"
    assert len(other) == len(repos["datasets", ROTTEN_TOMATOES].files[place[1:]])
    with running_hub(repos) as hub:
        hub.altered[place] = other
        with hub.fails("altered", place):
            done = look(hub.address, tmp_path)
        assert done.code == 3
        assert "train.parquet came damaged" in done.error
        again = look(hub.address, tmp_path)
    assert again.code == 0, again.err
    assert splits(again) == splits(filled[1])


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError, None])
def test_a_damaged_file_does_not_stay_whatever_ends_the_download(
    end: type[BaseException] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    whole, damaged = b"whole", blobs / ("0" * 64)
    kept = blobs / hashlib.sha256(whole).hexdigest()

    @as_announced("model", "a/b")
    def download() -> None:
        kept.write_bytes(whole)
        damaged.write_bytes(b"something else")
        if end is not None:
            raise end

    with pytest.raises(StartError, match="came damaged"):
        download()
    assert list(blobs.iterdir()) == [kept]
