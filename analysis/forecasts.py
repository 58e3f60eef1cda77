"""What was forecast when a search began, beside what it took."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis import readable
from analysis.answers import Side, sides
from analysis.load import LoadedStudy
from analysis.tables import devices_of


def forecasts(studies: Sequence[LoadedStudy]) -> pd.DataFrame:
    """Each study's trials, evaluations, device-hours and cost: forecast, and as they were.

    Confirmation runs are in all of them but the trials. A study whose search nobody forecast has
    no row.
    """
    return pd.DataFrame([_row(side) for side in sides(studies) if side.study.forecast is not None])


def _row(side: Side) -> dict[str, str]:
    study, said = side.study, side.study.forecast or {}
    trained = [*study.trials, *study.runs]
    evaluations = sum(each["evaluations_run"] or 0 for each in trained)
    hours = device_seconds(trained, said) / 3600
    forecast_hours = None if said["device_seconds"] is None else said["device_seconds"] / 3600
    row = {
        "method": side.name,
        "trials, forecast": f"{said['trials']:,}",
        "trials": f"{len(study.trials):,}",
        "evaluations, forecast": f"{said['expected_evaluations']:,.0f}",
        "evaluations": f"{evaluations:,}",
        "device-hours, forecast": _number(forecast_hours),
        "device-hours": _number(hours),
    }
    price = said["price_per_hour"]
    if price is not None:
        expected = None if forecast_hours is None else price * forecast_hours
        row |= {"cost, forecast": _price(expected), "cost": _price(price * hours)}
    return row


def device_seconds(trained: Iterable[Mapping[str, Any]], said: Mapping[str, Any]) -> float:
    """Seconds of CPU threads, or of GPUs, that trainings took.

    Args:
        trained: Records of trials and confirmation runs.
        said: The study's forecast: records that do not know their share of a GPU had its.
    """
    share = float(said["devices"])
    return sum(
        devices_of(each, share) * ((each["train_seconds"] or 0.0) + (each["eval_seconds"] or 0.0))
        for each in trained
    )


def _number(value: float | None) -> str:
    return readable.NOT_MEASURED if value is None else f"{value:,.3g}"


def _price(value: float | None) -> str:
    return readable.NOT_MEASURED if value is None else f"{value:,.2f}"
