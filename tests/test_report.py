import io
import json
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import plots_answers, plots_search
from analysis.__main__ import main
from analysis.answers import pairs, sides
from analysis.load import load_studies
from analysis.readme import with_summary
from analysis.report import NAMES
from analysis.sensitivity import by_value, common_scores, importances
from tests.conftest import CHECKOUT
from tests.ledgers import trial, write, write_forecast

MANY = [
    trial(i, 0.6 + 0.02 * i, params={"lr": 10 ** (-5 + i / 6), "rank": (4, 8, 16)[i % 3]})
    for i in range(12)
]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write(tmp_path, "svm", [trial(0, 0.7), trial(1, 0.72)], [0.7])
    write(tmp_path, "lora", MANY, [0.8, 0.82, 0.84])
    return tmp_path


def test_the_report_is_a_page_a_document_and_pictures(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(results)]) == 0
    printed = capsys.readouterr().out
    assert "### demo · tiny · 1,234 training texts, 400 test texts" in printed
    assert "| 82.0 ± 2.0 (n=3) " in printed
    text = (results / "report.md").read_text()
    for title in ("Every pair", "The baseline", "Winners", "What decides"):
        assert title in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (results / line.partition("(")[2].rstrip(")")).stat().st_size > 1000
    page = (results / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(list((results / "figures").glob("*.png")))
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize("form", ["md", "csv", "latex"])
@pytest.mark.parametrize("name", NAMES)
def test_each_table_prints_alone(
    name: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "svm", [trial(0, 0.7), trial(1, 0.72)], [0.7], dataset="rotten_tomatoes")
    write(tmp_path, "lora", MANY, [0.8, 0.82], dataset="rotten_tomatoes")
    write_forecast(tmp_path / "lora")
    assert main([str(tmp_path), "--table", name, "--format", form]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) >= 2
    assert "nothing to show" not in printed
    assert not (tmp_path / "report.md").exists()


def test_a_table_as_csv_is_read_back(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(results), "--table", "pairs", "--format", "csv"])
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("pair,difference,95 % interval,raw p,corrected p (Holm)")
    assert lines[1].startswith("lora - svm,+12.0,")


def test_what_people_wrote_stays_text_on_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    write(tmp_path, "lora", MANY, [0.8, 0.8], dataset=evil, classes=["a", evil, "c"])
    assert main([str(tmp_path)]) == 0
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert "<script" not in (tmp_path / "report.md").read_text()


class Canary:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_damaged_folder_is_reported_with_every_gap_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = results / "canary"
    write(results, "full", [trial(0, None, status="failed")])
    write(results, "freeze", MANY, [0.8, None])
    write(results, "adapters", [])
    (results / "lora" / "trials" / "00003-k3.json").write_text('{"number": 3, "key"')
    (results / "lora" / "tuner.pkl").write_bytes(pickle.dumps(Canary(canary)))
    (results / "lora" / "trials" / "notes.txt").write_text("mine")
    (results / "lora" / "evaluations" / "k4.jsonl").write_text('{"proposal": {}}\n3\n')
    (results / "lora" / "texts.parquet").write_bytes(b"")
    (results / "broken").mkdir()
    (results / "broken" / "study.json").write_text("{")
    assert main([str(results)]) == 0
    shown = capsys.readouterr()
    text = (results / "report.md").read_text()
    for gap in ("00003-k3.json cannot be read", "tuner.pkl does not belong", "notes.txt does not"):
        assert gap in text
        assert gap in shown.err
    assert "study.json cannot be read" in text
    assert "k4.jsonl cannot be read" in text
    assert "texts.parquet cannot be read" in text
    assert "freeze: 1 of 2 confirmation runs have a test score" in text
    assert "full: no trial could be a winner" in text
    assert "adapters: no trial has ended" in text
    assert "80.0 (n=1 of 2: 1 seed, no spread)" in text
    assert not canary.exists()


def test_records_are_checked_against_the_schema(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(results), "--check"]) == 0
    assert capsys.readouterr().out == "2 studies, 0 problems\n"
    path = results / "lora" / "trials" / "00002-k2.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "status": "done", "train_seconds": "fast"}))
    less = {name: value for name, value in stored.items() if name != "val_f1"}
    path.with_name("00003-k3.json").write_text(json.dumps({**less, "number": 3, "key": "k3"}))
    copied = results / "lora" / "confirm" / "k11-44 copy.json"
    copied.write_text((results / "lora" / "confirm" / "k11-44.json").read_text())
    (results / "lora" / "confirm" / "k11-43-predictions-test.parquet").unlink()
    assert main([str(results), "--check"]) == 1
    told = capsys.readouterr().out
    for problem in ("no field val_f1", "status 'done'", "train_seconds is 'fast'"):
        assert problem in told
    assert "k11-43-predictions-test.parquet cannot be read" in told
    assert "copy.json was left out: its name is not k11-44" in told


def test_a_ledger_of_the_first_schema_is_read(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = ("converged", "features_seconds")
    for path in (results / "lora").glob("*/*.json"):
        stored = json.loads(path.read_text())
        kept = {name: value for name, value in stored.items() if name not in later}
        path.write_text(json.dumps({**kept, "schema": 1}))
    assert main([str(results), "--check"]) == 0
    assert main([str(results)]) == 0
    assert "| 82.0 ± 2.0 (n=3) " in capsys.readouterr().out


def test_a_ledger_from_before_shares_were_noted_is_whole(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (results / "lora").glob("*/*.json"):
        stored = json.loads(path.read_text())
        del stored["gpus"]
        path.write_text(json.dumps(stored))
    assert main([str(results), "--check"]) == 0
    assert main([str(results)]) == 0


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no study under" in capsys.readouterr().err


def test_the_readme_shows_the_example_reports_summary() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    summary = (CHECKOUT / "docs" / "example-report" / "summary.md").read_text(encoding="utf-8")
    assert "| svm" in summary
    assert with_summary(readme, summary) == readme
    with pytest.raises(ValueError, match="has no"):
        with_summary("# A README", summary)


def test_a_thousand_trials_are_reported_in_seconds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    trials = [
        trial(i, float(random.random()), params={"lr": 10 ** random.uniform(-5, -3), "rank": 8})
        for i in range(1000)
    ]
    write(tmp_path, "lora", trials, [0.8, 0.8])
    started = time.monotonic()
    assert main([str(tmp_path)]) == 0
    assert time.monotonic() - started < 30  # a ceiling: a few seconds are usual


def test_curves_hold_every_evaluation_and_how_the_trial_ended(results: Path) -> None:
    lora = next(s for s in load_studies([results]) if s.method == "lora")
    curves = plots_search.curves_data(lora)
    assert [curve.number for curve in curves] == list(range(12))
    assert curves[3].evaluations == [1, 2, 3]
    assert curves[3].values == [pytest.approx(0.66)] * 3


def test_the_best_so_far_never_falls_and_its_cost_adds_up(results: Path) -> None:
    lora = next(s for s in load_studies([results]) if s.method == "lora")
    data = plots_search.best_so_far_data(lora)
    assert data["best"].is_monotonic_increasing
    assert data["seconds"].iloc[-1] == pytest.approx(12 * 22.5)


def test_a_trial_without_a_score_stays_in_the_scatter(tmp_path: Path) -> None:
    study = write(tmp_path, "lora", [trial(0, 0.7), trial(1, None, status="diverged")])
    data = plots_search.scatter_data(study)
    assert list(data["status"]) == ["finished", "diverged"]
    assert data["score"].isna().tolist() == [False, True]
    assert plots_search.draw_scatter(study).axes


def test_places_on_the_parallel_axes_are_on_the_spaces_own_scale(results: Path) -> None:
    lora = next(s for s in load_studies([results]) if s.method == "lora")
    names, rows = plots_search.parallel_data(lora)
    assert names == ["lr", "rank"]
    assert rows[6][0] == pytest.approx([0.5, 0.0])  # 1e-4 in 1e-5 to 1e-3; the first of 4, 8, 16


def test_the_forest_and_the_pareto_front_have_the_numbers_of_the_pairs(results: Path) -> None:
    compared = sides(load_studies([results]))
    [row] = plots_answers.forest_data(compared, pairs(compared)).to_dict("records")
    assert (row["name"], row["difference"]) == ("lora", pytest.approx(12.0))
    assert row["low"] < 12 < row["high"]


def test_figures_have_room_for_long_names_of_many_studies(results: Path) -> None:
    setting = "alpha_over_rank=2, batch_size=16, dropout=0.1, lr=5e-05, max_epochs=3, rank=8"
    many = [
        replace(side, name=f"{side.name} ({setting}, seed={number})")
        for number in range(8)
        for side in sides(load_studies([results]))
    ]
    named = {side.name: side.study for side in many}
    figures = [
        plots_answers.draw_forest(many, pairs(many)),
        plots_answers.draw_pareto(many),
        plots_search.draw_best_so_far(named),
    ]
    for figure in figures:  # matplotlib warns where something finds no room
        figure.savefig(io.BytesIO())
        assert figure.axes[0].get_position().width > 0.3


def test_the_pareto_front_holds_what_nothing_beats_for_less(tmp_path: Path) -> None:
    for method, right, params, seconds in (
        ("svm", 0.7, 10, 1.0),
        ("freeze", 0.65, 20, 0.5),
        ("lora", 0.8, 30, 2.0),
    ):
        cost = {"num_trainable_params": params, "train_seconds": seconds}
        write(tmp_path, method, [trial(0, 0.8, **cost)], [right, right])
    data = plots_answers.pareto_data(sides(load_studies([tmp_path]))).set_index("name")
    fronts = {cost: data.index[data[f"best_for_{cost}"]] for cost in ("parameters", "seconds")}
    assert sorted(fronts["parameters"]) == ["lora", "svm"]
    assert sorted(fronts["seconds"]) == ["freeze", "lora", "svm"]


def test_scores_by_hyperparameter_are_those_of_the_last_common_evaluation(tmp_path: Path) -> None:
    early = trial(0, 0.6, status="pruned", evaluations_run=1)
    study = write(tmp_path, "lora", [early, trial(1, 0.8), trial(2, None, status="failed")])
    common = common_scores(study)
    assert common.evaluation == 1
    assert [t["number"] for t, _ in common.scores] == [0, 1]
    assert by_value(common.scores, "lr") == {"1.0e-04 to 3.2e-04": [0.6, 0.8]}
    assert by_value(common.scores, "rank") == {"8": [0.6, 0.8]}


def test_importance_finds_what_decides_the_score(results: Path) -> None:
    lora = next(s for s in load_studies([results]) if s.method == "lora")
    found = importances(lora)
    assert sum(found.values()) == pytest.approx(1.0)
    assert next(iter(found)) == "lr"


def test_published_scores_are_compared_for_the_same_model_and_data_only(tmp_path: Path) -> None:
    from analysis.beside import published, questions

    same = {"dataset": "rotten_tomatoes", "model": "distilbert"}
    made = write(tmp_path, "lora", MANY, [0.82, 0.84, 0.83], **same)
    table = published([made])
    inside = table[(table["report"] == "003") & (table["method"] == "lora")]
    test_row = inside[inside["score"] == "test accuracy"].iloc[0]
    assert (test_row["ours"], test_row["published"]) == ("83.0", "84.0")
    assert test_row["says"] == "as expected of another seed"
    unsaid = table[(table["report"] == "002") & (table["method"] == "lora")].iloc[0]
    assert (unsaid["score"], unsaid["says"]) == (
        "split not said: accuracy",
        "not comparable: split not said",
    )
    far = write(tmp_path, "lora", MANY, [0.70, 0.701, 0.702], **same, name="far", comparison="e")
    rows = published([far])
    mine = rows[(rows["report"] == "000") & (rows["score"] == "test accuracy")]
    assert "outside" in set(mine["says"])
    subset = {"comparison_of": {"train_samples": 100}, "name": "subset", "comparison": "d"}
    other = write(tmp_path, "lora", MANY, [0.8, 0.8], **same, **subset)
    assert set(published([other])["says"]) == {"not comparable: a part of the data"}
    answers = questions([made]).set_index("question")["answer"]
    assert answers.iloc[-1] == "not measured here"
    assert pd.Series(answers).str.len().min() > 5
