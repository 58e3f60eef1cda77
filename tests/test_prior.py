"""Whose winners a study may begin with, what they become in its space, and that it keeps them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run_search
from search_spaces import SPACES
from tests.ledgers import LR, trial, write
from tune_sentiment import options
from tune_sentiment.errors import TuneSentimentError
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.prior import limit
from tune_sentiment.study import Study

LORA = ["--method", "lora", "--dataset", "demo", "--model", "tiny"]
FIRST = dict(SPACES["lora"].start[0])
Planned = Callable[..., list[Study]]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "old"


@pytest.fixture
def planned(tmp_path: Path, old: Path) -> Planned:
    """The studies of a command that begins with what is stored in ``old``."""

    def plan(*more: str, asked: list[str] = LORA, warm: bool = True) -> list[Study]:
        words = [*asked, *more, "--results", str(tmp_path / "results")]
        words += ["--warm-start", str(old)] if warm else []
        return run_search.plan(options.build_parser().parse_args(words))[0]

    return plan


def store(old: Path, name: str, *, hour: int = 0, lr: float = 3e-4, **changes: Any) -> None:
    """A study of three trials on other data, whose second has won and was confirmed."""
    ended = {"ended_at": f"2026-01-02T{hour:02d}:00:00"}
    trials = [
        trial(i, score, params={"lr": value, "rank": 16}, **ended)
        for i, (score, value) in enumerate([(0.6, 1e-5), (0.8, lr), (0.7, 9e-4)])
    ]
    about = {"dataset": "sst2", "model": "minilm", "comparison": "theirs", **changes}
    write(old, about.pop("method", "lora"), trials, [0.7, 0.7], name=name, **about)


def sources(study: Study) -> list[str]:
    return [each["study"] for each in study.prior_from]


def rates(study: Study) -> list[float]:
    return [point["lr"] for point in study.space.prior]


def test_a_winner_on_other_data_is_tried_first_and_the_start_points_after_it(
    old: Path, planned: Planned
) -> None:
    store(old, "theirs")
    study = planned()[-1]
    assert study.space.tried_first[0] == {**FIRST, "lr": 3e-4, "rank": 16}
    assert study.space.tried_first[1:] == [dict(point) for point in SPACES["lora"].start]
    assert study.describe()["prior_from"] == [
        {"study": "theirs", "dataset": "sst2", "model": "minilm"}
    ]


def test_the_nearest_are_taken_and_of_equally_near_ones_the_latest(
    old: Path, planned: Planned
) -> None:
    store(old, "far-late", hour=9, lr=1e-4)
    store(old, "far-early", hour=1, lr=2e-4)
    store(old, "same-model", hour=2, lr=3e-4, model="tiny")
    store(old, "same-data", hour=3, lr=4e-4, dataset="demo")
    assert sources(planned("--trials", "30")[-1]) == ["same-data", "same-model", "far-late"]
    assert sources(planned("--trials", "20")[-1]) == ["same-data", "same-model"]
    store(old, "same-both", hour=0, lr=5e-4, dataset="demo", model="tiny")
    assert rates(planned("--trials", "20")[-1]) == [5e-4, 4e-4]


@pytest.mark.parametrize(("trials", "most"), [(1, 1), (19, 1), (20, 2), (30, 3), (500, 3)])
def test_useless_winners_cost_a_tenth_of_the_trials_at_most(
    trials: int, most: int, old: Path, planned: Planned
) -> None:
    for i in range(5):
        store(old, f"s{i}", lr=(1 + i) * 1e-4)
    study = planned("--trials", str(trials))[-1]
    assert limit(study) == most
    assert len(study.space.prior) == most


def test_the_same_configuration_is_tried_once(old: Path, planned: Planned) -> None:
    store(old, "one", hour=1)
    store(old, "two", hour=2)
    store(old, "three", hour=0, lr=7e-4)
    assert sources(planned("--trials", "30")[-1]) == ["two", "three"]


def test_what_has_no_place_in_the_space_is_as_in_its_first_start_point(
    old: Path, planned: Planned
) -> None:
    high = LR.replace("1e-3", "5.0")
    rank = json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": [16, 64]}})
    space = {"fixed": {}, "distributions": {"lr": high, "rank": rank}}
    params = {"lr": 2.0, "rank": 64, "targets": "all", "dropout": "wide", "b_lr_over_a_lr": 4}
    write(old, "lora", [trial(0, 0.8, params=params)], space=space, comparison="x", trials_asked=1)
    [point] = planned()[-1].space.prior
    assert "b_lr_over_a_lr" not in point
    assert point == {**FIRST, "lr": 3e-3, "targets": "all"}  # the end of LoRA's range, rank as ours


def test_pinned_values_stay_pinned(old: Path, planned: Planned) -> None:
    store(old, "theirs")
    study = planned("--fix", "rank=4")[-1]
    assert (study.space.fixed or {})["rank"] == 4
    assert study.space.prior == [{**{k: v for k, v in FIRST.items() if k != "rank"}, "lr": 3e-4}]


def test_only_the_winner_of_a_study_whose_search_has_ended_counts(
    old: Path, planned: Planned
) -> None:
    store(old, "theirs", lr=2e-4)
    trials = [trial(0, 0.9, params={"lr": 5e-4, "rank": 8})]
    write(old, "lora", trials, name="open", comparison="x", dataset="demo", trials_asked=20)
    failed = [trial(0, None, status="failed")]
    write(old, "lora", failed, name="none", comparison="y", dataset="demo", trials_asked=1)
    assert sources(planned()[-1]) == ["theirs"]
    write(old, "lora", trials, name="open", comparison="x", dataset="demo", trials_asked=1)
    assert sources(planned("--trials", "20")[-1]) == ["open", "theirs"]


@pytest.mark.parametrize(
    ("changed", "is_taken"),
    [
        ({}, False),
        ({"max_length": 64}, False),  # the same texts, unless they are longer
        ({"metric": "val_f1"}, False),
        ({"train_samples": 100}, True),
        ({"model": "another"}, True),
        ({"data": "other"}, True),
    ],
)
def test_no_winner_of_the_same_texts_and_model_is_taken(
    changed: dict[str, Any], is_taken: bool, old: Path, planned: Planned
) -> None:
    store(old, "theirs", lr=2e-4)
    own = planned()[-1].comparison_of()
    store(old, "twin", lr=5e-4, dataset="demo", comparison_of={**own, **changed})
    found = sources(planned("--trials", "20")[-1])
    assert found == (["twin", "theirs"] if is_taken else ["theirs"])


def test_a_search_has_ended_when_its_space_has_no_more(old: Path, planned: Planned) -> None:
    trials = [trial(0, 0.9, params={"lr": 5e-4, "rank": 8})]
    write(old, "lora", trials, name="open", dataset="demo", trials_asked=20, num_trials=2)
    with pytest.raises(TuneSentimentError, match="still under way"):
        planned()
    write(old, "lora", trials, name="open", dataset="demo", trials_asked=20, num_trials=1)
    assert sources(planned()[-1]) == ["open"]


def test_nothing_of_the_test_split_is_looked_at(
    old: Path, planned: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    store(old, "early", hour=1, lr=2e-4)
    store(old, "late", hour=2, lr=5e-4)
    for path in old.glob("late/confirm/*.json"):
        changed = {**json.loads(path.read_text()), "test_accuracy": 0.01}
        path.write_text(json.dumps(changed))
    for path in old.glob("*/confirm/*-test.parquet"):
        path.write_text("torn")
    assert rates(planned("--trials", "20")[-1]) == [5e-4, 2e-4]
    assert capsys.readouterr().err == ""


def test_a_study_with_earlier_winners_is_another_one_wherever_they_were_stored(
    old: Path, planned: Planned
) -> None:
    cold = [study.id for study in planned(warm=False)]
    store(old, "theirs")
    baseline, warm = (study.id for study in planned())
    assert baseline == cold[0]  # the baseline that comes by itself is the same one in every table
    assert warm != cold[1]
    shutil.move(old, old.with_name("moved"))
    moved = ["--warm-start", str(old.with_name("moved"))]
    assert planned(*moved, warm=False)[1].id == warm
    assert [study.id for study in planned(warm=False)] == cold


@pytest.mark.parametrize("change", ["more is stored", "less is stored", "nothing is left"])
def test_the_same_command_goes_on_whatever_is_stored_by_then(
    change: str, old: Path, planned: Planned, tmp_path: Path
) -> None:
    store(old, "theirs", hour=1)
    begun = planned()[-1]
    StudyFolder(tmp_path / "results" / begun.id).write_study(begun.describe())
    if change == "more is stored":
        store(old, "nearer", hour=2, lr=5e-4, dataset="demo")
    else:
        shutil.rmtree(old / "theirs" if change == "less is stored" else old)
    for more in ([], ["--trials", "40"]):
        again = planned(*more)[-1]
        assert (again.id, again.prior_from) == (begun.id, begun.prior_from)
    if change == "more is stored":  # a study that was not begun takes what is there
        assert planned("--seed", "7")[-1].space.prior != begun.space.prior
    else:
        with pytest.raises(TuneSentimentError, match="--warm-start"):
            planned("--seed", "7")


def test_other_results_are_looked_at_anew(old: Path, planned: Planned, tmp_path: Path) -> None:
    store(old, "theirs")
    begun = planned()[-1]
    StudyFolder(tmp_path / "results" / begun.id).write_study(begun.describe())
    store(tmp_path / "other", "others", lr=5e-4)
    other = planned("--warm-start", str(tmp_path / "other"), warm=False)[-1]
    assert sources(other) == ["others"]
    assert other.id != begun.id


def test_a_study_that_says_other_points_than_its_name_is_not_gone_on_with(
    old: Path, planned: Planned, tmp_path: Path
) -> None:
    store(old, "theirs")
    begun = planned()[-1]
    folder = StudyFolder(tmp_path / "results" / begun.id)
    told = begun.describe()
    for damaged in (
        {**told, "space": {**told["space"], "prior": [{**FIRST, "lr": 1e-3}]}},
        {**told, "space": {**told["space"], "prior": [{"lr": "high"}]}},
        {**told, "space": {**told["space"], "prior": 7}},
        {**told, "prior_from": []},
        {**told, "asked": None},
    ):
        folder.write_study(damaged)
        assert planned()[-1].describe()["prior_from"][0]["study"] == "theirs"
    folder.study_file.write_text("{")
    assert planned()[-1].id == begun.id


def nothing(old: Path) -> None:
    old.mkdir()


def another_method(old: Path) -> None:
    store(old, "a", method="full")
    store(old, "b", method="full")
    store(old, "c", method="adapters")


def still_open(old: Path) -> None:
    write(old, "lora", [trial(0, 0.9)], comparison="x", trials_asked=20)


def of_nothing_we_know(old: Path) -> None:
    space = {"fixed": {}, "distributions": {}}
    write(old, "lora", [trial(0, 0.9, params={"other": 1})], comparison="x", space=space)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda old: None, "there is no such folder"),
        (Path.touch, "there is no such folder"),
        (nothing, "lora on demo with tiny: no study is stored there"),
        (another_method, "no study of lora is stored there, only: adapters 1, full 2"),
        (still_open, "none of the 1 stored studies of lora can be begun with: 1 without a winner"),
        (of_nothing_we_know, "1 whose winner has nothing in this space"),
    ],
)
def test_where_there_is_nothing_to_begin_with_one_line_says_what_is_there(
    made: Callable[[Path], None],
    message: str,
    old: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made(old)
    results = tmp_path / "results"
    code = run_search.main([*LORA, "--warm-start", str(old), "--results", str(results)])
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: --warm-start {old}: ")
    assert message in said
    assert not results.exists()


def test_every_study_that_finds_nothing_is_named(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "svm,lora,full", *LORA[2:], "--results", str(tmp_path / "results")]
    words += ["--warm-start", str(old)]
    assert run_search.main(words) == 2
    assert capsys.readouterr().err == f"error: --warm-start {old}: there is no such folder\n"
    store(old, "theirs")
    assert run_search.main(words) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "svm on demo with tiny: no study of svm" in said[0]
    assert "full on demo with tiny: no study of full" in said[1]


def test_a_space_in_which_nothing_is_searched_is_refused(old: Path, planned: Planned) -> None:
    store(old, "theirs", method="svm")
    with pytest.raises(TuneSentimentError, match="searches nothing, its space is pinned whole"):
        planned("--fix", "C=1", "--fix", "pooling=cls", asked=["--method", "svm", *LORA[2:]])
    with pytest.raises(TuneSentimentError, match="--warm-start cannot be chosen: --preset"):
        planned(asked=["--preset", "004", *LORA[2:]])


def test_what_cannot_be_read_is_told_in_a_line_and_the_rest_is_taken(
    old: Path, planned: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    store(old, "theirs")
    store(old, "torn", lr=5e-4)
    (old / "torn" / "study.json").write_text("{")
    assert sources(planned("--trials", "20")[-1]) == ["theirs"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"warning: --warm-start {old}: one thing cannot be read" in said
    assert "torn" in said


def test_a_dry_run_shows_the_points_and_where_each_one_won(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store(old, "theirs")
    results = tmp_path / "results"
    words = [*LORA, "--warm-start", str(old), "--results", str(results), "--dry-run"]
    assert run_search.main(words) == 0
    [line] = [x for x in capsys.readouterr().out.splitlines() if x.startswith("  tried first")]
    assert line.startswith("  tried first  lr=0.0003, rank=16, ")
    assert line.endswith(" (won on sst2 with minilm: theirs)")
    assert not results.exists()
