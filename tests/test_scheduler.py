from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers.async_hyperband import _Bracket

from tune_sentiment.ledger import PastTrial
from tune_sentiment.proposal import Proposal
from tune_sentiment.scheduler import Asha, scheduler_settings, standard_error

SETTINGS = scheduler_settings(5, 1, settling=0.2)


def trial(key: str) -> Any:
    return SimpleNamespace(config={"key": key}, trial_id=f"ray-{key}")


def result(evaluation: int, objective: float, status: str = "running") -> dict[str, Any]:
    return {"evaluation": evaluation, "objective": objective, "status": status}


def rungs(scheduler: Asha) -> list[tuple[float, dict[str, float]]]:
    return [(time, dict(values)) for time, values in scheduler._brackets[0]._rungs]


def past(key: str, status: str | None, values: list[float], first: int) -> PastTrial:
    proposal = Proposal(number=0, key=key, origin="sampler", params={}, seed=0)
    return PastTrial(proposal, status, tuple(values), tuple(range(first, first + len(values))))


def test_five_epochs_have_rungs_after_one_two_and_four() -> None:
    assert [time for time, _ in rungs(Asha(mode="max", settings=SETTINGS))] == [4, 2, 1]


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "warmup", "grace"),
    [
        (1, 1, 0.2, 1),
        (3, 1, 0.2, 1),
        (5, 4, 0.2, 4),
        (10, 1, 0.2, 2),
        (20, 4, 0.2, 16),
        (5, 1, 0.6, 3),
        (5, 1, 0.0, 1),
        (1, 1, 0.9, 1),
    ],
)
def test_grace_is_an_epoch_or_the_longest_warm_up(
    epochs: int, per_epoch: int, warmup: float, grace: int
) -> None:
    settings = scheduler_settings(epochs, per_epoch, warmup)
    assert settings["grace_period"] == grace
    assert warmup * settings["max_t"] <= settings["grace_period"] <= settings["max_t"]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_worse_of_later_trials_are_stopped_at_a_rung(mode: Any) -> None:
    sign = 1 if mode == "max" else -1
    scheduler = Asha(mode=mode, settings=SETTINGS)
    for key, value in (("a", 0.7), ("b", 0.8), ("c", 0.9)):
        scheduler.on_trial_add(None, trial(key))
        assert scheduler.on_trial_result(None, trial(key), result(1, sign * value)) == "CONTINUE"
    scheduler.on_trial_add(None, trial("d"))
    assert scheduler.on_trial_result(None, trial("d"), result(1, sign * 0.75)) == "STOP"
    assert scheduler.is_stopped("d")
    assert not scheduler.is_stopped("c")


@pytest.mark.parametrize(("texts", "decision"), [(0, "STOP"), (100, "CONTINUE"), (10_000, "STOP")])
def test_what_validation_cannot_tell_from_a_rungs_cutoff_goes_on(texts: int, decision: str) -> None:
    settings = scheduler_settings(5, 1, settling=0.2, scored_texts=texts)
    scheduler = Asha(mode="max", settings=settings)
    for key, value in (("a", 0.7), ("b", 0.8), ("c", 0.9)):  # the cutoff is the median
        scheduler.on_trial_add(None, trial(key))
        scheduler.on_trial_result(None, trial(key), result(1, value))
    scheduler.on_trial_add(None, trial("d"))
    assert scheduler.on_trial_result(None, trial("d"), result(1, 0.77)) == decision


def test_the_noise_is_that_of_an_accuracy_and_none_beyond_its_range() -> None:
    assert standard_error(0.8, 100) == pytest.approx(0.04)
    assert standard_error(0.8, 0) == standard_error(-0.5, 100) == standard_error(2.0, 100) == 0.0


def test_a_diverged_trial_leaves_no_mark_on_the_rungs() -> None:
    scheduler = Asha(mode="max", settings=SETTINGS)
    scheduler.on_trial_add(None, trial("a"))
    found = scheduler.on_trial_result(None, trial("a"), result(1, float("nan"), "diverged"))
    scheduler.on_trial_complete(None, trial("a"), result(1, float("nan"), "diverged"))
    assert found == "CONTINUE"
    assert all(not values for _, values in rungs(scheduler))


def test_a_scheduler_filled_from_records_has_the_rungs_of_the_one_before() -> None:
    live = Asha(mode="max", settings=SETTINGS)
    histories = {"a": [0.5, 0.6, 0.7, 0.7, 0.8], "b": [0.9, 0.9, 0.9], "c": [0.4]}
    sequence, recorded = 1, []
    for key, values in histories.items():
        live.on_trial_add(None, trial(key))
        for evaluation, value in enumerate(values, start=1):
            live.on_trial_result(None, trial(key), result(evaluation, value))
        recorded.append(past(key, "finished", values, sequence))
        sequence += len(values)
    assert rungs(Asha(mode="max", settings=SETTINGS, past=recorded)) == rungs(live)
    assert any(values for _, values in rungs(live))


def test_what_was_decided_is_known_again_and_only_open_trials_are_decided_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    cutoff = _Bracket.cutoff

    def counted(bracket: _Bracket, recorded: dict[str, float]) -> Any:
        asked.append(len(recorded))
        return cutoff(bracket, recorded)

    monkeypatch.setattr(_Bracket, "cutoff", counted)
    ended = [past(key, "finished", [0.9] * 5, 5 * i) for i, key in enumerate("abc")]
    stopped, late = past("d", "pruned", [0.1], 20), past("f", "finished", [0.05] * 5, 30)
    lost, going = past("e", None, [0.2], 25), past("g", None, [0.95], 40)
    scheduler = Asha(mode="max", settings=SETTINGS, past=[*ended, stopped, lost, late, going])
    assert asked == [4, 6]  # what was in the first rung when the open ones reached it
    assert scheduler.is_stopped("d")
    assert scheduler.is_stopped("e")
    assert not scheduler.is_stopped("g")
    assert [sorted(values) for _, values in rungs(scheduler)] == [
        *[list("abcf")] * 2,
        list("abcdefg"),
    ]
    scheduler.on_trial_add(None, trial("h"))
    assert scheduler.on_trial_result(None, trial("h"), result(1, 0.1)) == "STOP"


def test_a_trial_that_goes_on_does_not_meet_itself_at_a_rung() -> None:
    before = [past("a", "finished", [0.9] * 5, 1), past("b", None, [0.5, 0.5], 6)]
    scheduler = Asha(mode="max", settings=SETTINGS, past=before)
    scheduler.on_trial_add(None, trial("b"))
    scheduler.on_trial_result(None, trial("b"), result(2, 0.5))
    assert [dict(values).get("b") for _, values in rungs(scheduler)] == [None, 0.5, 0.5]


def test_a_trial_at_its_planned_end_leaves_the_scheduler() -> None:
    scheduler = Asha(mode="max", settings=SETTINGS)
    scheduler.on_trial_add(None, trial("a"))
    last = result(5, 0.9, "finished")
    assert scheduler.on_trial_result(None, trial("a"), last) == "STOP"
    scheduler.on_trial_complete(None, trial("a"), last)
    assert scheduler._trial_info == {}
