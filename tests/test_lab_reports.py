"""docs/from-the-lab-reports.md: what it names is there, and its commands are understood."""

import re
import shlex
from pathlib import Path

import pytest

from run_search import main
from search_spaces.presets import PRESETS
from tests.conftest import CHECKOUT
from tune_sentiment.options import build_parser
from tune_sentiment.preset import listing

PAGE = CHECKOUT / "docs" / "from-the-lab-reports.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", TEXT)))
SEARCHES = sorted(set(re.findall(r"`python run_search\.py ([^`]+)`", TEXT)))
COMMANDS = sorted(set(re.findall(r"`python -m ([\w.]+) ([^`]*)`", TEXT)))
ROWS = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
HERE = sorted({row[1] for row in ROWS if "--" in row[1] and "---" not in row[1]})


def test_there_is_something_to_check() -> None:
    assert len(NAMED) > 20
    assert len(SEARCHES) > 8
    assert len(COMMANDS) > 4
    assert len(HERE) > 20


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_is_named_exists(named: str) -> None:
    file, _, name = named.partition("::")
    assert f"def {name}" in (CHECKOUT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("words", SEARCHES)
def test_every_search_says_in_a_dry_run_what_it_would_do(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = shlex.split(words.replace("--dataset rotten_tomatoes", ""))
    if asked != ["--preset", "list"]:
        asked += ["--dataset", "demo", "--model", "tiny", "--results", str(tmp_path), "--dry-run"]
        asked += ["--max-length", "32"]  # the forecast trains some steps of it
    assert main(asked) == 0
    assert "svm" in capsys.readouterr().out


@pytest.mark.parametrize(("module", "words"), COMMANDS)
def test_every_other_command_is_one_of_ours(module: str, words: str) -> None:
    if module == "analysis":
        from analysis.report import NAMES

        assert set(shlex.split(words)) - {"results", "--table"} <= set(NAMES)
    elif module == "tune_sentiment.explore":
        from tune_sentiment.explore import build_parser as of_explore

        of_explore().parse_args(shlex.split(words))
    elif module == "benchmarks":
        from benchmarks.results import TITLES

        assert set(words.split()) <= set(TITLES)
    else:
        pytest.fail(f"{module} is checked by nothing")


@pytest.mark.parametrize("flags", HERE)
def test_every_option_of_ours_is_understood(flags: str) -> None:
    ours = {f for action in build_parser()._actions for f in action.option_strings}
    named = re.findall(r"--[a-z-]+", flags)
    assert named
    assert set(named) <= ours | {"--text", "--table"}


def test_the_page_lists_what_the_presets_run() -> None:
    assert f"```\n{listing(PRESETS)}\n```" in TEXT
