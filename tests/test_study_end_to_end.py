"""A whole study beside its peers: what is kept of a run that was cut, and what the rows say."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import study_end_to_end
from benchmarks.corpus import MODEL, texts
from benchmarks.harness import OURS, add_line, read_lines
from benchmarks.peers.studies import Data
from benchmarks.study_end_to_end import OPTUNA, TUNE, _to_target, _whole_rounds
from tune_sentiment.backbone import load_backbone

TARGET = 0.74
ASKED = {**study_end_to_end.QUICK, "seed": 1}
SCORES = {OURS: [(30.0, 0.6), (40.0, TARGET)], OPTUNA: [(20.0, 0.7), (120.0, 0.8)]}


def made(side: str, **changes: Any) -> dict[str, Any]:
    return {"side": side, "evaluations": SCORES[side], "model": 50.0, "seconds": 60.0, **changes}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.jsonl"


def test_a_run_that_was_cut_goes_on_after_its_last_whole_round(kept: Path) -> None:
    assert _whole_rounds(kept, ASKED, 2) == []
    ended = [made(OURS), made(OPTUNA), made(OPTUNA), made(OURS)]
    lines = [json.dumps(each) for each in [*ended, made(OURS)]]
    kept.write_text("\n".join([kept.read_text().strip(), *lines, '{"side": "our']))
    assert _whole_rounds(kept, ASKED, 2) == [json.loads(json.dumps(each)) for each in ended]
    assert len(read_lines(kept)) == 5


def test_a_line_comes_in_place_of_one_that_was_cut(kept: Path) -> None:
    for number in range(2):
        add_line(kept, {"number": number})
    kept.write_bytes(kept.read_bytes()[:-3])
    assert read_lines(kept) == [{"number": 0}]
    add_line(kept, {"number": 2})
    assert read_lines(kept) == [{"number": 0}, {"number": 2}]


@pytest.mark.parametrize("key", ["asked", "code"])
def test_what_other_code_or_another_study_has_left_is_not_taken(key: str, kept: Path) -> None:
    _whole_rounds(kept, ASKED, 1)
    head = json.loads(kept.read_text())
    kept.write_text(f"{json.dumps({**head, key: 'other'})}\n{{}}\n")
    assert _whole_rounds(kept, ASKED, 1) == []


def test_the_first_evaluation_at_the_target_counts_whatever_comes_before() -> None:
    found = {name: [made(name)] for name in SCORES}
    (row,) = _to_target("work", TARGET, found)
    assert (row["peer"], row["ratio"]) == (OPTUNA, 3.0)


def test_a_side_that_never_reaches_the_target_has_no_ratio() -> None:
    never = made(OPTUNA, evaluations=[(20.0, TARGET - 0.01)])
    rows = _to_target("work", TARGET, {OURS: [made(OURS)], OPTUNA: [made(OPTUNA)], TUNE: [never]})
    assert [(row["peer"], "ratio" in row) for row in rows] == [(OPTUNA, True), (TUNE, False)]
    (row,) = _to_target("work", TARGET, {OURS: [never], OPTUNA: [made(OPTUNA)]})
    assert row["missing"] == "ours did not get there"


@pytest.mark.data
def test_peers_have_the_sentences_of_the_searchs_seed(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_SENTIMENT_DATA", str(real_data))
    of = {seed: texts("rotten_tomatoes", 64, seed)[0].texts for seed in (42, 43)}
    assert texts("rotten_tomatoes", 64)[0].texts == of[42] != of[43]
    ids = {seed: Data.of({**ASKED, "seed": seed}).train["input_ids"] for seed in of}
    words = load_backbone(MODEL).tokenizer()
    for seed, sentences in of.items():
        assert list(ids[seed]) == words(list(sentences))["input_ids"]
