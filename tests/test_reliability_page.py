"""docs/reliability.md says what was recorded, of every fault that is promised to be survived."""

from typing import Any

import pytest

from tests.faults import reliability
from tests.faults.catalogue import CATALOGUE


def test_the_page_is_what_the_records_say() -> None:
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_fault_was_tried_on_both_sides(name: str) -> None:
    assert name in reliability.read(reliability.RECORDS / "ours.jsonl")
    plain = reliability.read(reliability.RECORDS / "plain.jsonl")
    assert (name in plain) == (CATALOGUE[name].untried is None)


def outcome(**changed: Any) -> dict[str, Any]:
    usual = {"asked": 4, "codes": [0], "before": 0, "lost": 0, "again": 0, "complete": 4}
    return {**usual, "failed": 0, "nan": 0, "from_start": 0, "said": [], "left": 0, **changed}


@pytest.mark.parametrize(
    ("tries", "words"),
    [
        ([outcome()], "exit code 0; 4 of 4 trials complete at the end (1 try)"),
        ([outcome(codes=[None], complete=0)], "no end in 120 s; 0 of 4 trials complete"),
        ([outcome(codes=[-9, 0], before=2, again=1), outcome(codes=[-9, 0], before=1)], "of 3 that "
         "were complete before 0 were lost and 1 ran again (2 tries)"),
        ([outcome(nan=1)], "1 of the complete ones with NaN, without a word"),
        ([outcome(codes=[1], said=["RuntimeError"])], "exit code 1; 4 of 4 trials "
         "complete at the end; `RuntimeError`"),
        ([outcome(left=2), outcome()], "processes left after 30 s in 1 of 2 tries"),
    ],
)  # fmt: skip
def test_what_became_of_plain_ray_tune_is_counted_over_all_tries(
    tries: list[dict[str, Any]], words: str
) -> None:
    assert words in reliability.plain_words(tries)


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        ([True] * 3, "0 of 3: too few for a bound"),
        ([True] * 20, "0 of 20: below 15%"),
        ([True] * 19 + [False], "1 of 20"),
    ],
)
def test_no_failure_in_n_tries_is_written_as_a_bound(passed: list[bool], words: str) -> None:
    tries = [{"passed": one} for one in passed]
    assert reliability.tries_words(tries) == words
    assert reliability.tries_words(tries, is_random=False) == words.partition(":")[0]


def test_other_settings_stand_apart() -> None:
    tries = [outcome(setting=""), outcome(setting="A=0", again=1), outcome(setting="")]
    plain, told = reliability.by_setting(tries).split("<br>")
    assert "(2 tries)" in plain
    assert told.startswith("with `A=0`: exit code 0")
    assert reliability.by_setting([]) == "not tried"
