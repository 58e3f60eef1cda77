"""A real search on model and data from a hub: it asks before Ray starts, and never again."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_commands import HANGING, NOBODY, ROOT, environment, run
from tests.hub_content import contents
from tests.hub_server import Hub, running_hub

pytestmark = pytest.mark.slow
SEARCH = ["--method", "svm,lora", "--dataset", "rotten_tomatoes", "--model", "distilbert"]
SEARCH += ["--max-epochs", "1", "--train-samples", "200", "--confirm-seeds", "1"]
SEARCH += ["--gpus-per-trial", "0"]


def searched(hub: Hub, home: Path) -> tuple[int, list[str], list[str]]:
    """Exit code, all lines of stderr, and what the hub was asked after Ray was started."""
    command = [sys.executable, "run_search.py", *SEARCH, "--trials", "1", "--results", str(home)]
    asked_before = None
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(hub.address, home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as search:
        assert search.stderr is not None
        for line in search.stderr:
            lines.append(line)
            if "starting Ray" in line:
                asked_before = len(hub.asked)
        code = search.wait(HANGING)
    assert asked_before, lines
    return code, lines, hub.paths()[asked_before:]


def test_trials_and_confirmation_ask_no_hub_and_a_search_goes_on_without_one(
    tmp_path: Path,
) -> None:
    with running_hub(contents()) as hub:
        code, lines, asked = searched(hub, tmp_path)
    assert code == 0, lines
    assert asked == []
    folders = list(tmp_path.glob("rotten_tomatoes-distilbert-*"))
    assert len(folders) == 2
    assert all(list(folder.glob("confirm/*.json")) for folder in folders)

    again = run([*SEARCH, "--trials", "2", "--results", str(tmp_path)], NOBODY, tmp_path)
    assert again.code == 0, again.err
    assert all(len(list(folder.glob("trials/*.json"))) == 2 for folder in folders)
    assert "| lora" in again.out
