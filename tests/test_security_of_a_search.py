"""One search, watched: what listens, who gets in, and where tokens of others would be found.

Its data has hostile names, one of its trials raises, pickles wait in its folder, and every tracker
runs beside it. Intruders are processes of the same user without the right token.
"""

import base64
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from analysis.__main__ import main as analyse
from tests.canary import pickled
from tests.watched import CANARY, INTRUDERS, Watched, watch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    watched = watch(tmp_path_factory.mktemp("watched"))
    assert watched.code == 0, (watched.folder / "stderr.txt").read_text()
    assert analyse([str(watched.results)]) == 0
    return watched


def test_everything_that_listens_does_so_on_this_machine_alone(watched: Watched) -> None:
    assert {"gcs_server", "raylet"} <= {name for name, _ in watched.listening}
    beyond = []
    for name, written in sorted(watched.listening):
        found = ip_address(written)
        if not (getattr(found, "ipv4_mapped", None) or found).is_loopback:
            beyond.append((name, written))
    assert beyond == []


@pytest.mark.parametrize("intruder", INTRUDERS)
def test_nobody_gets_in_without_the_token(intruder: str, watched: Watched) -> None:
    assert "joined 1" in watched.said["with the token"]
    assert "InvalidAuthToken" in watched.said[intruder]
    assert "joined" not in watched.said[intruder]


def test_rays_token_and_files_are_out_of_other_users_reach(watched: Watched) -> None:
    assert watched.token is not None
    assert len(watched.token) == 64
    assert not (watched.folder / "home" / ".ray").exists()
    assert watched.logs is not None
    ours = next(p for p in watched.logs.parents if p.name.startswith("tune_sentiment-"))
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
    assert ours.stat().st_uid == os.getuid()


def _searched(secret: str) -> re.Pattern[bytes]:
    """The secret as it is, and as base64 would have it at any place."""
    shifted = [base64.b64encode(b"\0" * n + secret.encode())[4:-4] for n in range(3)]
    return re.compile(b"|".join(map(re.escape, [secret.encode(), *shifted])))


def _files(folders: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    yield from ((f"{path}: {n}", archive.read(n)) for n in archive.namelist())


def test_no_token_is_in_anything_that_was_written_or_in_a_command(watched: Watched) -> None:
    assert watched.logs is not None
    assert watched.token is not None
    written = list(_files([watched.folder, watched.logs.parent]))
    names = " ".join(name for name, _ in written)
    for part in ("tracking/wandb", ".zip: ", "mlflow.db", "events.out", "gcs_server.out"):
        assert part in names, part
    assert b"job" in watched.remembered.read_bytes()
    for part in ("report.html", "winner/README.md", "tuner.pkl", "stderr.txt", "remembered.bin"):
        assert part in names, part
    for secret in (CANARY, watched.token):
        looked_for = _searched(secret)
        assert looked_for.search(base64.b64encode(b"some" + secret.encode() + b"thing"))
        assert [name for name, content in written if looked_for.search(content)] == []
        assert [words for words in watched.commands if looked_for.search(words.encode())] == []


def test_nobody_is_told_that_trainings_run(watched: Watched) -> None:
    said = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    assert {name: watched.worker.get(name) for name in said} == said


def test_a_trial_that_raised_is_recorded_beside_one_that_did_not(watched: Watched) -> None:
    records = watched.study("lora").trials()
    assert [record["status"] for record in records] == ["finished", "failed"]
    assert "cannot be multiplied" in records[1]["error"]


def test_pickles_in_rays_folder_are_not_opened(watched: Watched) -> None:
    content = pickled(watched.canary)
    planted = [path for path in watched.results.rglob("*.pkl") if path.read_bytes() == content]
    assert planted
    assert not watched.canary.exists()


def test_names_and_labels_stay_text_in_every_page(watched: Watched) -> None:
    lora = watched.study("lora").path
    pages = [watched.results / name for name in ("report.md", "report.html", "summary.md")]
    for page in (*pages, lora / "comparison.md", lora / "winner" / "README.md"):
        text = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", page.read_text(encoding="utf-8"))
        assert "alert(1)" in text, page
        assert "<script" not in text, page
        assert "<img src=x" not in text, page
        assert "[a](b)" not in text or page.suffix == ".html", page
