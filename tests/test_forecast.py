"""What a study is expected to take: early stopping and a whole forecast, worked out by hand."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from run_search import plan
from tune_sentiment.cost import Calibration, Hardware
from tune_sentiment.forecast import (
    Forecast,
    expected_evaluations,
    forecast,
    lines,
    total,
)
from tune_sentiment.options import build_parser
from tune_sentiment.scheduler import scheduler_settings
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study


def going_on(arriving: int) -> float:
    """Trials expected to go on from a rung, worked out by hand for scores in random order.

    One goes on whose score is not below the quantile ``2 / 3`` of those before it, which stands at
    place ``p = 2 / 3 * (m - 1)`` of ``m``: with probability ``(m - p) / (m + 1)``.
    """
    return 1 + sum((m - 2 / 3 * (m - 1)) / (m + 1) for m in range(1, arriving))


@pytest.mark.parametrize("trials", [1, 2, 8, 30, 300])
def test_what_is_expected_of_one_rung_is_what_a_hand_works_out(trials: int) -> None:
    settings = {**scheduler_settings(3, 1, 0.2), "reduction_factor": 3}  # looked at once, after 1
    expected = trials + 2 * going_on(trials)
    assert expected_evaluations(trials, 3, settings) == pytest.approx(expected, rel=0.05)


def test_a_long_search_is_forecast_from_its_beginning() -> None:
    settings = {**scheduler_settings(3, 1, 0.2), "reduction_factor": 3}
    started = time.perf_counter()
    expected = expected_evaluations(10_000, 3, settings)
    assert expected == pytest.approx(10_000 + 2 * going_on(10_000), rel=0.03)
    rest = expected_evaluations(10_000, 3, settings, 9_000)
    assert rest == pytest.approx(expected - expected_evaluations(9_000, 3, settings))
    assert time.perf_counter() - started < 60  # minutes, if all of it were played


@pytest.mark.parametrize(("max_epochs", "per_epoch"), [(5, 1), (10, 1), (5, 4)])
def test_more_rungs_stop_more(max_epochs: int, per_epoch: int) -> None:
    settings = scheduler_settings(max_epochs, per_epoch, 0.2)
    planned = max_epochs * per_epoch
    grace = settings["grace_period"]
    one_rung = 30 * grace + going_on(30) * (planned - grace)
    third = 30 * grace + 10 * (planned - grace)
    assert third * 0.6 < expected_evaluations(30, planned, settings) < one_rung


def test_nothing_is_saved_where_nothing_is_stopped() -> None:
    assert expected_evaluations(7, 3, None) == 21
    settings = scheduler_settings(1, 1, 0.2)
    assert expected_evaluations(7, 1, settings) == 7


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    results = str(tmp_path_factory.mktemp("results"))
    words = ["--method", "svm,full", "--dataset", "demo", "--model", "tiny", "--results", results]
    words += ["--trials", "4", "--max-epochs", "3", "--confirm-seeds", "2", "--gpus-per-trial", "0"]
    found, _, _ = plan(build_parser().parse_args(words))
    return {study.config.method: study for study in found}


def test_a_forecast_is_what_a_hand_works_out(studies: dict[str, Study]) -> None:
    measured = Calibration(train=0.001, evaluate=0.0005)
    made = forecast(studies["full"], measured, Slots(1, 2, 0.0), price_per_hour=3.0)
    runs = 6 * 3  # the best three with two seeds each, to the last epoch
    expected = expected_evaluations(4, 3, studies["full"].scheduler()) + runs
    assert expected == pytest.approx(4 + 2 * going_on(4) + runs, rel=0.02)
    assert (made.trials, made.confirmations, made.evaluations) == (4, 6, 4 * 3 + 6 * 3)
    assert made.expected_evaluations == pytest.approx(expected)
    each = 800 * 0.001 + 200 * 0.0005
    assert made.device_seconds == pytest.approx(expected * each * 2)
    assert made.cost == pytest.approx(3.0 * expected * each * 2 / 3600)
    weights = studies["full"].source.backbone.weights_bytes
    predictions = 2 * 400 * (32 + 2 * 8)
    assert made.kept_bytes == weights + predictions + 4 * 2_000 + round(expected) * 1_000


def test_a_time_budget_bounds_the_search_and_not_the_confirmation(
    studies: dict[str, Study],
) -> None:
    timed = replace(studies["full"].config, time_budget_minutes=0.01)
    study = replace(studies["full"], config=timed)
    measured, slots = Calibration(train=1.0, evaluate=0.0), Slots(2, 3, 0.0)
    made = forecast(study, measured, slots, confirmations=1)
    assert made.device_seconds == pytest.approx((0.01 * 60 * 2 + 3 * 800) * 3)


@pytest.mark.parametrize(("slots", "hours"), [(Slots(8, 2, 1 / 8), 1), (Slots(6, 2, 1 / 2), 3)])
def test_a_time_budget_on_shared_gpus_is_that_of_the_gpus(
    slots: Slots, hours: int, studies: dict[str, Study]
) -> None:
    timed = replace(studies["full"].config, time_budget_minutes=60)
    study = replace(studies["full"], config=timed)
    measured = Calibration(train=100.0, evaluate=0.0)
    made = forecast(study, measured, slots, confirmations=0)
    assert made.device_seconds == pytest.approx(hours * 3600)
    assert (made.device, made.devices) == ("cuda", slots.gpus)


def test_trainings_that_share_a_gpu_take_the_same_of_it_as_alone(studies: dict[str, Study]) -> None:
    measured = Calibration(train=0.001, evaluate=0.0005)
    seconds = {
        forecast(studies["full"], measured, slots).device_seconds
        for slots in (Slots(1, 2, 1.0), Slots(8, 2, 1 / 8), Slots(2, 2, 0.6))
    }
    assert len(seconds) == 1


def test_the_rest_of_a_study_is_what_its_end_takes_beside_its_beginning(
    studies: dict[str, Study],
) -> None:
    slots, measured = Slots(1, 1, 0.0), Calibration(0.001, 0.001)
    whole, rest = (
        forecast(studies["full"], measured, slots, done=done, confirmations=0) for done in (0, 3)
    )
    assert rest.trials == 1
    assert rest.expected_evaluations == pytest.approx(1 + 2 * 5 / 12, rel=0.1)
    assert rest.expected_evaluations < whole.expected_evaluations / 4


def test_what_was_not_calibrated_is_said_and_not_invented(studies: dict[str, Study]) -> None:
    made = forecast(studies["svm"], None, Slots(1, 1, 0.0), price_per_hour=2.0)
    assert (made.device_seconds, made.cost) == (None, None)
    shown = dict(lines(made))
    assert shown["device-time"].startswith("not forecast")
    assert shown["cost"] == "not known at 2 an hour"
    assert shown["evaluations"] == "5"


def test_all_studies_together_share_the_room_for_checkpoints() -> None:
    one = Forecast(
        trials=4,
        confirmations=0,
        evaluations=12,
        expected_evaluations=9.0,
        devices=1.0,
        device="cpu",
        device_seconds=7200.0,
        kept_bytes=5_000_000,
        run_bytes=1_000_000,
        checkpoint_bytes=30_000_000,
        price_per_hour=0.5,
    )
    text = "\n".join(total([one, one], Hardware("this machine", 2, 0)))
    assert "8 to run" in text
    assert "24 at most, about 18 with early stopping" in text
    assert "4 CPU thread-hours, about 2.0 h of this machine's 2 cores" in text
    assert "10 MB kept, at most 32 MB more on the way" in text
    assert "about 2.00 at 0.5 an hour" in text


def test_a_price_is_a_number_from_zero_on(tmp_path: Path) -> None:
    from tune_sentiment.errors import UsageError

    words = ["--method", "svm", "--dataset", "demo", "--results", str(tmp_path)]
    for price in ("-1", "nan", "inf"):
        args = build_parser().parse_args([*words, "--price-per-hour", price])
        with pytest.raises(UsageError, match="price_per_hour >= 0 must hold"):
            plan(args)
