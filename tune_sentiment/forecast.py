"""What a study is expected to take, before it starts: trials, evaluations, device-time, storage.

What early stopping saves is found by playing ASHA, with the study's own rungs, on trials that come
one after the other with scores in random order, the same order at every rung. A sampler that learns
proposes better trials later, of which more go on; a search whose first trials are its best, or
whose order changes from rung to rung, saves more.
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

from tune_sentiment.cost import Calibration, Hardware
from tune_sentiment.preflight import checkpoint_bytes, run_bytes, winner_bytes
from tune_sentiment.progress import duration
from tune_sentiment.selection import confirmation_runs
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study

RECORD_BYTES, LINE_BYTES = 2_000, 1_000  # of a training's record, and of each evaluation's line
ROW_BYTES, PROBABILITY_BYTES = 32, 8  # of a prediction, and of each class in it
PLAYED = 2_000  # trials that ASHA is played on, in searches of the study's length
LEAST_PLAYED = 20  # searches
LONGEST_PLAYED = 400  # trials of one; each further one is as the second half's on average
ASSUMED = (
    "early stopping: assumed that trials come in random order of their scores, the same at each of "
    "ASHA's rungs; confirmation runs are counted to their last epoch"
)
NOT_CALIBRATED = "not forecast: nothing was calibrated"


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
        run_bytes: What confirmation runs take beside that, until the winner is exported.
        checkpoint_bytes: What states of trainings under way take at the most.
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
    run_bytes: int
    checkpoint_bytes: int
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


def expected_evaluations(
    trials: int, planned: int, settings: Mapping[str, int] | None, done: int = 0
) -> float:
    """Evaluations of so many trials with what ASHA is expected to stop.

    Args:
        trials: How many there are.
        planned: Evaluations of one that is not stopped.
        settings: ASHA's; ``None`` where nothing is stopped early.
        done: Those of them that have ended before, and are not counted.
    """
    if settings is None or trials <= done:
        return float(max(0, trials - done) * planned)
    played = min(trials, LONGEST_PLAYED)
    found = _played(played, planned, tuple(sorted(settings.items())))
    further = (found[played] - found[played // 2]) / (played - played // 2)

    def of_first(count: int) -> float:
        return found[min(count, played)] + max(0, count - played) * further

    return of_first(trials) - of_first(done)


@cache
def _played(trials: int, planned: int, settings: tuple[tuple[str, int], ...]) -> list[float]:
    """Evaluations of the first trials of a search, ``[trials + 1]``, from none on."""
    from tune_sentiment.scheduler import Asha

    drawn, counts = random.Random(0), [0] * (trials + 1)
    searches = max(LEAST_PLAYED, PLAYED // trials)
    for _ in range(searches):
        asha = Asha(mode="max", settings=dict(settings))
        for number in range(trials):
            score = drawn.random()
            trial = SimpleNamespace(config={"key": number})
            asha.on_trial_add(None, trial)
            for evaluation in range(1, planned + 1):
                counts[number + 1] += 1
                report = {"evaluation": evaluation, "objective": score, "status": "running"}
                if asha.on_trial_result(None, trial, report) == "STOP":
                    break
    return [count / searches for count in accumulate(counts)]


def forecast(
    study: Study,
    measured: Calibration | None,
    slots: Slots,
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
        done: Trials that have ended before.
        confirmations: Runs still to come; all that the study asks for if not given.
        price_per_hour: Of a device.
    """
    trials, planned = max(0, study.num_trials - done), study.planned_evaluations
    runs = confirmation_runs(study) if confirmations is None else confirmations
    settings = study.scheduler()
    searching = expected_evaluations(done + trials, planned, settings, done)
    expected = searching + runs * planned
    devices = slots.gpus or float(slots.cpus)
    calibrated_on = slots.unshared.gpus or devices
    seconds = None
    if measured is not None:
        each = study.num_train * measured.train / study.plan["evaluations_per_epoch"]
        each += study.source.splits["validation"].rows * measured.evaluate
        minutes = study.config.time_budget_minutes
        budget = math.inf if minutes is None else 60 * minutes * slots.in_turn
        seconds = (min(searching * each, budget) + runs * planned * each) * calibrated_on
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
        run_bytes=run_bytes(study),
        checkpoint_bytes=checkpoint_bytes(study, slots.concurrency),
        price_per_hour=price_per_hour,
    )


def kept_bytes(study: Study, runs: int) -> int:
    """What a study's winner and its predictions take for good."""
    if not study.config.confirm_seeds:
        return 0
    rows = sum(study.source.splits[name].rows for name in ("validation", "test"))
    row = ROW_BYTES + PROBABILITY_BYTES * len(study.source.dataset.classes)
    scored = min(runs, study.config.confirm_seeds)
    return winner_bytes(study) + scored * rows * row


def lines(made: Forecast) -> list[tuple[str, str]]:
    """A forecast as a dry run shows it: the name of each figure, and the figure."""
    most, few = f"{made.evaluations:,}", f"{made.expected_evaluations:,.0f}"
    shown = f"{most} at most, about {few} with early stopping ({100 * made.saved:.0f} % saved)"
    found = [("evaluations", shown if made.saved > 0 else most)]
    found.append(("device-time", device_time(made.device_seconds, made.device)))
    found.append(("storage", _storage([made])))
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


def _storage(made: Sequence[Forecast]) -> str:
    """What studies keep, and what they take beside it: they share the slots, so one's states."""
    kept = sum(each.kept_bytes for each in made)
    states = max(each.checkpoint_bytes for each in made)
    passing = states + sum(each.run_bytes for each in made)
    return f"{kept / 1e6:,.0f} MB kept, at most {passing / 1e6:,.0f} MB more on the way"


def total(made: Iterable[Forecast], there: Hardware) -> list[str]:
    """What all studies of a command take together, line by line.

    Args:
        made: Their forecasts.
        there: Where they run.
    """
    found = list(made)
    known = [each for each in found if each.device_seconds is not None]
    by_device = {
        device: sum(e.device_seconds or 0.0 for e in known if e.device == device)
        for device in dict.fromkeys(each.device for each in known)
    }
    parts = [device_time(seconds, device) for device, seconds in by_device.items()]
    if seconds := by_device.get("cpu"):
        parts.append(
            f"about {duration(seconds / there.cores)} of {there.name}'s {there.cores} cores"
        )
    spent = ", ".join(parts)
    without = len(found) - len(known)
    some = f"; {without} without a calibration" if without else ""
    most = sum(each.evaluations for each in found)
    few = sum(each.expected_evaluations for each in found)
    rows = [
        ("trials", f"{sum(e.trials for e in found):,} to run"),
        ("evaluations", f"{most:,} at most, about {few:,.0f} with early stopping"),
        ("device-time", f"{spent or 'not forecast'}{some}"),
        ("storage", _storage(found)),
    ]
    if (price := found[0].price_per_hour) is not None:
        cost = sum(each.cost or 0.0 for each in known)
        rows.append(("cost", f"about {cost:,.2f} at {price:g} an hour{some}"))
    shown = [f"  {name:<12} {text}" for name, text in rows]
    return [f"all {len(found)} studies", *shown, f"  ({ASSUMED})"]
