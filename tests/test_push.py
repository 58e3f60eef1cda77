"""Uploading a winner, against a hub on this machine that speaks what the library asks for."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hub_commands import NOBODY, Ended, run
from tests.hub_server import Hub, running_hub
from tests.test_predict import made_winner
from tune_sentiment.backbone import Backbone
from tune_sentiment.tokens import Tokens

TOKEN = "hf_thetokenofthistest"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def push(study: Path, address: str, *words: str) -> Ended:
    """The command with a token, and an answer waited for six seconds instead of sixty."""
    known = {"HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    short = {"HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_ETAG_TIMEOUT": "1"}
    command = "-m tune_sentiment.predict"
    return run([str(study), "--push", *words], address, study / "home", command, **known, **short)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny: Backbone, eight: Tokens) -> Path:
    folder = tmp_path_factory.mktemp("study")
    made_winner("lora", tiny, eight, folder)
    return folder


def test_every_file_of_a_winner_arrives_as_it_is(study: Path, hub: Hub) -> None:
    done = push(study, hub.address, "mine")
    assert done.code == 0, done.err
    assert done.out.strip() == f"{hub.address}/me/mine"
    assert done.err == ""
    here = {path.name: path.read_bytes() for path in (study / "winner").iterdir()}
    assert "model.safetensors" in here
    assert hub.uploaded == here
    assert created(hub)["visibility"] == "private"
    large = [asked.path for asked in hub.asked if asked.method == "PUT"]
    assert len(large) == len([name for name in here if name.endswith(".safetensors")])
    assert {a.authorization for a in hub.asked if a.method == "POST"} == {f"Bearer {TOKEN}"}


def created(hub: Hub) -> dict[str, Any]:
    """What the repository was asked to be."""
    [content] = [asked.content for asked in hub.asked if asked.path == "/api/repos/create"]
    made: dict[str, Any] = json.loads(content)
    return made


def test_a_public_repository_is_asked_for_by_name(study: Path, hub: Hub) -> None:
    assert push(study, hub.address, "mine", "--public").code == 0
    assert created(hub)["visibility"] == "public"


FAILING = [
    ("401", "", "refuses (401): log in with hf auth login"),
    ("403", "", "refuses (403): log in with hf auth login"),
    ("500", "", "refuses (500)"),
    ("500", "/store/", "answers with errors (500)"),
    ("cut", "/store/", "does not answer"),
    ("cut", "/commit/", "did not take the winner: "),
    ("silent", "/api/repos/create", "did not take the winner: timed out"),
    ("silent", "/commit/", "did not take the winner: timed out"),
]


@pytest.fixture(scope="module")
def ended(study: Path) -> Iterator[dict[tuple[str, str], "Future[Ended]"]]:
    """One upload for each fault, several at once: most of the time is waiting."""

    def command(fault: str, where: str) -> Ended:
        with running_hub() as hub, hub.fails(fault, where):
            done = push(study, hub.address, "mine")
            return replace(done, err=done.err.replace(hub.address, "HUB"))

    with ThreadPoolExecutor(4) as pool:
        yield {row[:2]: pool.submit(command, *row[:2]) for row in FAILING}


@pytest.mark.parametrize(("fault", "where", "reason"), FAILING)
def test_a_hub_that_does_not_take_it_is_said_soon_and_without_the_token(
    fault: str, where: str, reason: str, ended: dict[tuple[str, str], "Future[Ended]"]
) -> None:
    done = ended[fault, where].result()
    assert done.code == 3, done.err
    assert done.error.startswith(f"error: HUB {reason}")
    assert TOKEN not in done.out + done.err
    assert done.seconds < 90  # on a busy machine


def test_a_hub_that_is_not_there_is_said(study: Path) -> None:
    done = push(study, NOBODY, "mine")
    assert done.code == 3
    assert f"{NOBODY} did not take the winner" in done.error


def test_a_wrong_name_is_refused_before_anything_is_asked(study: Path, hub: Hub) -> None:
    done = push(study, hub.address, "not/a/name")
    assert done.code == 2
    assert "--push wants NAME or OWNER/NAME, got 'not/a/name'" in done.error
    assert not hub.asked
