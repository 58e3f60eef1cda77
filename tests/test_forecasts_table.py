"""Forecast beside actual, from ledgers written by hand."""

from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.forecasts import forecasts
from analysis.load import load_studies
from analysis.report import beside_each_other
from analysis.tables import search_seconds
from tests.ledgers import trial, write, write_forecast

SECONDS = 20.0 + 2.5  # of each training, evaluations included
TRIALS = [trial(i, 0.6 + 0.02 * i) for i in range(3)]


def test_forecasts_stand_beside_what_it_took(tmp_path: Path) -> None:
    write(tmp_path, "svm", TRIALS[:1], [0.7])
    write(tmp_path, "lora", TRIALS, [0.8, 0.82])
    write_forecast(tmp_path / "lora", price_per_hour=2.0)
    table = forecasts(load_studies([tmp_path]))
    hours = 5 * SECONDS / 3600  # three trials and two confirmation runs of a thread
    assert table.to_dict("records") == [
        {
            "method": "lora",
            "trials, forecast": "12",
            "trials": "3",
            "evaluations, forecast": "30",
            "evaluations": "15",
            "device-hours, forecast": "2",
            "device-hours": f"{hours:.3g}",
            "cost, forecast": "4.00",
            "cost": f"{2 * hours:.2f}",
        }
    ]


def test_what_was_not_calibrated_is_a_dash(tmp_path: Path) -> None:
    write(tmp_path, "svm", TRIALS, [0.8])
    write_forecast(tmp_path / "svm", device_seconds=None, price_per_hour=1.0)
    [row] = forecasts(load_studies([tmp_path])).to_dict("records")
    assert (row["device-hours, forecast"], row["cost, forecast"]) == ("-", "-")
    assert row["device-hours"] != "-"


def test_a_share_of_a_gpu_is_a_share_of_a_device(tmp_path: Path) -> None:
    on_gpu = [{**each, "device": "NVIDIA H100", "num_threads": 8} for each in TRIALS]
    write(tmp_path, "lora", on_gpu)
    write_forecast(tmp_path / "lora", devices=0.25)
    [row] = forecasts(load_studies([tmp_path])).to_dict("records")
    assert float(row["device-hours"]) == pytest.approx(3 * SECONDS / 4 / 3600, rel=0.01)


def test_each_training_is_charged_for_the_share_that_it_got(tmp_path: Path) -> None:
    on_gpu = {"device": "NVIDIA H100", "num_threads": 8}
    shares = zip(TRIALS, (0.25, 0.5, 2.0), strict=True)
    trials = [{**each, **on_gpu, "gpus": share} for each, share in shares]
    write(tmp_path, "lora", trials)
    write_forecast(tmp_path / "lora", devices=1.0)
    [study] = load_studies([tmp_path])
    [row] = forecasts([study]).to_dict("records")
    assert float(row["device-hours"]) == pytest.approx(2.75 * SECONDS / 3600, rel=0.01)
    assert search_seconds(study)[0] == pytest.approx(2.75 * SECONDS)


def test_a_price_that_comes_later_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "lora", TRIALS)
    for price, seconds in ((None, 1.0), (2.0, 2.0), (None, 3.0)):
        write_forecast(tmp_path / "lora", price_per_hour=price, device_seconds=seconds)
    [study] = load_studies([tmp_path])
    assert study.forecast is not None
    assert (study.forecast["price_per_hour"], study.forecast["device_seconds"]) == (2.0, 1.0)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"trials": "many"}'])
def test_a_forecast_that_cannot_be_read_is_named(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "lora", TRIALS, [0.8, 0.8])
    (tmp_path / "lora" / "forecast.json").write_text(content)
    assert main([str(tmp_path), "--table", "forecast"]) == 0
    assert "forecast.json cannot be read" in capsys.readouterr().err


def test_a_forecast_stays_as_it_was_made_until_the_study_is_extended(tmp_path: Path) -> None:
    write(tmp_path, "lora", TRIALS)
    for trials, seconds in ((12, 1.0), (12, 2.0), (24, 3.0)):
        write_forecast(tmp_path / "lora", trials=trials, device_seconds=seconds)
        [study] = load_studies([tmp_path])
        assert study.forecast is not None
        assert study.forecast["device_seconds"] == (1.0 if trials == 12 else 3.0)


def test_several_comparisons_are_told_in_one_table_each(tmp_path: Path) -> None:
    for dataset in ("cafes", "trains"):
        about = {"dataset": dataset, "comparison": dataset}
        write(tmp_path, "lora", TRIALS, [0.8, 0.82], name=f"{dataset}-lora", **about)
        write_forecast(tmp_path / f"{dataset}-lora")
    studies = load_studies([tmp_path])
    text = beside_each_other(studies)
    assert "| lora     | 81.0 (n=2)" in text
    rows = [line for line in text.partition("### What was forecast")[2].splitlines() if "|" in line]
    assert [row.split("|")[1].split("·")[0].strip() for row in rows[2:]] == ["cafes", "trains"]
    assert beside_each_other(studies[:1]) == ""
