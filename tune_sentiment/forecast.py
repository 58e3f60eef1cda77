"""What a study is expected to take, before it starts: trials, evaluations, device-time, storage.

What early stopping saves follows from ASHA's rungs alone. It is assumed that trials reach a rung in
an order that says nothing of their scores: a sampler that learns proposes better ones later, of
which more go on, and a search whose first trials are its best saves more.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tune_sentiment.config import Resources
from tune_sentiment.cost import Calibration
from tune_sentiment.preflight import needed_bytes
from tune_sentiment.selection import SCREENED, SCREENING_SEEDS
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study

RECORD_BYTES, LINE_BYTES = 2_000, 1_000  # of a training's record, and of each evaluation's line
ROW_BYTES, PROBABILITY_BYTES = 32, 8  # of a prediction, and of each class in it
ASSUMED = (
    "early stopping: assumed that trials reach ASHA's rungs in an order that says nothing of "
    "their scores; confirmation runs are counted to their last epoch"
)
NOT_CALIBRATED = "not forecast: nothing to calibrate before the features are there"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a study, or the rest of one, is expected to take.

    Args:
        trials: To run.
        confirmations: Confirmation runs, at most.
        evaluations: Of trials and confirmation runs, if nothing is stopped early.
        expected_evaluations: Of both, with what ASHA is expected to stop.
        devices: CPU threads of a training, or GPUs.
        device: ``cpu`` or ``cuda``.
        device_seconds: For the expected evaluations; ``None`` where no calibration was made.
        kept_bytes: What stays: winner, predictions, records.
        peak_bytes: What checkpoints and confirmation runs take beside that at the most.
        price_per_hour: Of a device; ``None`` where none was given.
    """

    trials: int
    confirmations: int
    evaluations: int
    expected_evaluations: float
    devices: float
    device: str
    device_seconds: float | None
    kept_bytes: int
    peak_bytes: int
    price_per_hour: float | None = None

    @property
    def saved(self) -> float:
        """Share of the evaluations that early stopping is expected to save, ``[0, 1)``."""
        return 1 - self.expected_evaluations / self.evaluations if self.evaluations else 0.0

    @property
    def cost(self) -> float | None:
        """Price of the device-time; ``None`` where either is unknown."""
        if self.price_per_hour is None or self.device_seconds is None:
            return None
        return self.price_per_hour * self.device_seconds / 3600

    def as_dict(self) -> dict[str, Any]:
        """The forecast as plain JSON values."""
        return asdict(self)


def survivors(arriving: float, factor: int) -> float:
    """Trials expected to go on from a rung, of those that arrive one after the other.

    One goes on whose score is not below the ``1 - 1 / factor`` quantile of those before it. For
    scores in random order that has probability ``(m - p) / (m + 1)`` after ``m`` others, with
    ``p = (1 - 1 / factor) * (m - 1)`` the quantile's place among them. The first one always does.
    """
    whole = math.floor(arriving)
    chances = [1.0]
    for before in range(1, whole + 1):
        place = (1 - 1 / factor) * (before - 1)
        chances.append((before - place) / (before + 1))
    return sum(chances[:whole]) + (arriving - whole) * chances[whole]


def expected_evaluations(trials: int, planned: int, settings: Mapping[str, int] | None) -> float:
    """Evaluations of so many trials with what ASHA is expected to stop.

    Args:
        trials: How many there are.
        planned: Evaluations of one that is not stopped.
        settings: ASHA's; ``None`` where nothing is stopped early.
    """
    if settings is None:
        return float(trials * planned)
    factor, rung = settings["reduction_factor"], settings["grace_period"]
    total, going_on, reached = 0.0, float(trials), 0
    while rung < settings["max_t"]:
        total += going_on * (rung - reached)
        going_on, reached, rung = survivors(going_on, factor), rung, rung * factor
    return total + going_on * (planned - reached)


def forecast(
    study: Study,
    measured: Calibration | None,
    slots: Slots,
    resources: Resources,
    *,
    done: int = 0,
    confirmations: int | None = None,
    price_per_hour: float | None = None,
) -> Forecast:
    """What a study, or the rest of one, is expected to take.

    Args:
        study: What is searched.
        measured: Seconds per sentence; ``None`` where none were measured.
        slots: What each training gets.
        resources: What was asked for.
        done: Trials that have ended before.
        confirmations: Runs still to come; all that the study asks for if not given.
        price_per_hour: Of a device.
    """
    trials, planned = max(0, study.num_trials - done), study.planned_evaluations
    runs = confirmation_runs(study) if confirmations is None else confirmations
    settings = study.scheduler()
    searching = expected_evaluations(done + trials, planned, settings)
    searching -= expected_evaluations(done, planned, settings)
    expected = searching + runs * planned
    devices = slots.gpus or float(slots.cpus)
    seconds = None
    if measured is not None:
        each = study.num_train * measured.train / study.plan["evaluations_per_epoch"]
        each += study.source.splits["validation"].rows * measured.evaluate
        seconds = expected * each * devices
    kept = kept_bytes(study, runs) + trials * RECORD_BYTES + round(expected) * LINE_BYTES
    return Forecast(
        trials=trials,
        confirmations=runs,
        evaluations=(trials + runs) * planned,
        expected_evaluations=expected,
        devices=devices,
        device="cuda" if slots.gpus else "cpu",
        device_seconds=seconds,
        kept_bytes=kept,
        peak_bytes=needed_bytes(study, resources),
        price_per_hour=price_per_hour,
    )


def confirmation_runs(study: Study) -> int:
    """The most confirmation runs that a study asks for: screening, and the winner's other seeds."""
    seeds = study.config.confirm_seeds
    if not study.method.is_neural or seeds < SCREENING_SEEDS:
        return min(seeds, 1)
    return SCREENED * SCREENING_SEEDS + seeds - SCREENING_SEEDS


def kept_bytes(study: Study, runs: int) -> int:
    """What a study's winner and its predictions take for good."""
    if not study.config.confirm_seeds:
        return 0
    rows = sum(study.source.splits[name].rows for name in ("validation", "test"))
    row = ROW_BYTES + PROBABILITY_BYTES * len(study.source.dataset.classes)
    scored = min(runs, study.config.confirm_seeds)
    return study.source.backbone.weights_bytes + scored * rows * row


def lines(made: Forecast) -> list[tuple[str, str]]:
    """A forecast as a dry run shows it: the name of each figure, and the figure."""
    most, few = f"{made.evaluations:,}", f"{made.expected_evaluations:,.0f}"
    shown = f"{most} at most, about {few} with early stopping ({100 * made.saved:.0f} % saved)"
    found = [("evaluations", shown if made.saved > 0 else most)]
    found.append(("device-time", device_time(made.device_seconds, made.device)))
    kept, peak = made.kept_bytes / 1e6, made.peak_bytes / 1e6
    found.append(("storage", f"{kept:,.0f} MB kept, at most {peak:,.0f} MB more on the way"))
    if made.price_per_hour is not None:
        price = f"at {made.price_per_hour:g} an hour"
        cost = "not known" if made.cost is None else f"about {made.cost:,.2f}"
        found.append(("cost", f"{cost} {price}"))
    return found


def device_time(seconds: float | None, device: str) -> str:
    """Device-hours, and what a device is."""
    if seconds is None:
        return NOT_CALIBRATED
    kind = "GPU" if device == "cuda" else "CPU thread"
    return f"{seconds / 3600:,.3g} {kind}-hours"


def total(made: Iterable[Forecast]) -> list[str]:
    """What all studies of a command take together, line by line."""
    found = list(made)
    known = [each for each in found if each.device_seconds is not None]
    by_device = {
        device: sum(e.device_seconds or 0.0 for e in known if e.device == device)
        for device in dict.fromkeys(each.device for each in known)
    }
    spent = " + ".join(device_time(seconds, device) for device, seconds in by_device.items())
    without = len(found) - len(known)
    some = f"; {without} without a calibration" if without else ""
    most = sum(each.evaluations for each in found)
    few = sum(each.expected_evaluations for each in found)
    kept, peak = (sum(getattr(e, f"{n}_bytes") for e in found) / 1e6 for n in ("kept", "peak"))
    rows = [
        ("trials", f"{sum(e.trials for e in found):,} to run"),
        ("evaluations", f"{most:,} at most, about {few:,.0f} with early stopping"),
        ("device-time", f"{spent or 'not forecast'}{some}"),
        ("storage", f"{kept:,.0f} MB kept, at most {peak:,.0f} MB more on the way"),
    ]
    if (price := found[0].price_per_hour) is not None:
        cost = sum(each.cost or 0.0 for each in known)
        rows.append(("cost", f"about {cost:,.2f} at {price:g} an hour{some}"))
    shown = [f"  {name:<12} {text}" for name, text in rows]
    return [f"all {len(found)} studies", *shown, f"  ({ASSUMED})"]
