import math
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray import tune
from ray.tune.search import Searcher

from tune_sentiment import searcher as module
from tune_sentiment.ledger import PastTrial
from tune_sentiment.proposal import Proposal
from tune_sentiment.searcher import FixedSearch, Search
from tune_sentiment.space import SearchSpace
from tune_sentiment.told import known_trial

SPACE = SearchSpace(
    method="lora",
    params={"lr": tune.loguniform(1e-5, 1e-1), "rank": tune.choice([4, 8, 16])},
    start=[{"lr": 1e-3, "rank": 8}, {"lr": 1e-2, "rank": 16}],
)
SMALL = SearchSpace(method="lora", params={"rank": tune.choice([4, 8]), "n": tune.randint(1, 4)})


def report(status: str, objective: float, evaluation: int = 1) -> dict[str, Any]:
    return {"status": status, "objective": objective, "evaluation": evaluation}


def propose(search: Search, trial_id: str) -> Proposal:
    config = search.suggest(trial_id)
    assert isinstance(config, dict)
    return Proposal.from_dict(config)


def run(search: Search, count: int, outcome: Any) -> list[Proposal]:
    """Ask and tell one after another; ``outcome`` gives (status, values by evaluation)."""
    proposals = []
    for i in range(count):
        proposal = propose(search, f"t{i}")
        status, values = outcome(proposal)
        for evaluation, value in enumerate(values[:-1], start=1):
            search.on_trial_result(f"t{i}", report("running", value, evaluation))
        if status == "failed":
            search.on_trial_complete(f"t{i}", error=True)
        else:
            told = "running" if status == "pruned" else status
            search.on_trial_complete(f"t{i}", report(told, values[-1], len(values)))
        proposals.append(proposal)
    return proposals


def mixed(proposal: Proposal) -> tuple[str, list[float]]:
    lr = proposal.params["lr"]
    if lr > 3e-2:
        return "diverged", [0.6, math.nan]
    value = 0.9 - 0.1 * abs(math.log10(lr) + 3)
    return ("finished", [value - 0.1, value]) if proposal.number % 3 else ("pruned", [value - 0.1])


def as_past(proposals: list[Proposal], outcome: Any) -> list[PastTrial]:
    past = []
    for proposal in proposals:
        status, values = outcome(proposal)
        kept = tuple(v for v in values if not math.isnan(v))
        past.append(PastTrial(proposal, status, kept, tuple(range(len(kept)))))
    return past


def test_start_points_come_first_and_in_order() -> None:
    first, second, third = run(Search(SPACE, mode="max", seed=1), 3, mixed)
    assert [dict(p.params) for p in (first, second)] == SPACE.start
    assert [p.origin for p in (first, second, third)] == ["start", "start", "sampler"]
    assert [p.number for p in (first, second, third)] == [0, 1, 2]


WARM = replace(SPACE, prior=[{"lr": 2e-3, "rank": 16}, SPACE.start[1]])


def test_earlier_winners_come_before_the_start_points_and_say_so() -> None:
    found = run(Search(WARM, mode="max", seed=1), 4, mixed)
    assert [dict(p.params) for p in found[:3]] == [*WARM.prior, SPACE.start[0]]
    assert [p.origin for p in found] == ["prior", "prior", "start", "sampler"]


def test_pinned_values_stand_in_every_proposal_and_are_not_searched() -> None:
    search = Search(SPACE.pin({"lr": 5e-4}), mode="max", seed=1)
    found = [dict(p.params) for p in run(search, 3, lambda p: ("finished", [0.5]))]
    assert {p["lr"] for p in found} == {5e-4}
    assert {p["rank"] for p in found} == {4, 8, 16}
    assert search.suggest("more") == Searcher.FINISHED


@pytest.mark.parametrize(
    ("status", "values", "state", "kept"),
    [
        ("finished", [0.5, 0.7], TrialState.COMPLETE, {1: 0.5, 2: 0.7}),
        ("pruned", [0.5], TrialState.PRUNED, {1: 0.5}),
        ("diverged", [0.6, math.nan], TrialState.PRUNED, {}),
        ("oom", [0.6, math.nan], TrialState.PRUNED, {}),
        ("failed", [0.6], TrialState.FAIL, {}),
    ],
)
def test_optuna_is_told_what_each_end_means(
    status: str, values: list[float], state: TrialState, kept: dict[int, float]
) -> None:
    search = Search(SPACE, mode="max", seed=1)
    run(search, 1, lambda p: (status, values))
    told = search.study.get_trials()[0]
    assert told.state == state
    assert told.intermediate_values == kept
    assert told.value == (max(kept.values()) if kept else None)
    assert not search.study.get_trials(states=(TrialState.RUNNING,))


def test_a_trial_without_any_report_has_failed() -> None:
    search = Search(SPACE, mode="max", seed=1)
    propose(search, "t")
    search.on_trial_complete("t", {"training_iteration": 1})
    assert search.study.get_trials()[0].state == TrialState.FAIL


@pytest.mark.parametrize("space", [SPACE, WARM], ids=["start points", "earlier winners"])
def test_a_search_filled_from_records_goes_on_as_if_never_interrupted(space: SearchSpace) -> None:
    whole = run(Search(space, mode="max", seed=5), 14, mixed)
    assert {mixed(p)[0] for p in whole} == {"finished", "pruned", "diverged"}
    for cut in (1, 2, 5, 9, 13):
        past = as_past(whole[:cut], mixed)
        rest = run(Search(space, mode="max", seed=5, past=past), 14 - cut, mixed)
        assert rest == whole[cut:]


@pytest.mark.parametrize("pinned", [{}, {"rank": 8}])
def test_what_is_proposed_is_what_optunas_own_sampler_proposes(
    pinned: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is told the space that Optuna's works out from all trials for every proposal."""

    def outcome(proposal: Proposal) -> tuple[str, list[float]]:
        return ("failed", [0.1]) if proposal.number < 2 else mixed(proposal)

    narrow = SearchSpace(
        method="lora", params={**SPACE.params, "only": tune.choice([1])}, start=[]
    ).pin(pinned)
    ours = run(Search(narrow, mode="max", seed=5), 16, outcome)
    monkeypatch.setattr(module, "_Sampler", lambda _, **more: optuna.samplers.TPESampler(**more))
    assert run(Search(narrow, mode="max", seed=5), 16, outcome) == ours
    assert run(Search(narrow, mode="max", seed=6), 16, outcome) != ours


def test_optuna_is_given_known_trials_as_it_would_copy_them() -> None:
    whole = run(Search(SPACE, mode="max", seed=5), 9, mixed)
    filled = Search(SPACE, mode="max", seed=5, past=as_past(whole, mixed)).study
    copied = optuna.create_study(direction="maximize")
    for trial in filled.get_trials():
        copied.add_trial(
            optuna.trial.create_trial(
                state=trial.state,
                value=trial.value,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
        )
    assert [_facts(t) for t in filled.get_trials()] == [_facts(t) for t in copied.get_trials()]
    assert filled.best_trial.number == copied.best_trial.number
    with pytest.raises(ValueError, match="Inconsistent parameters"):
        filled.add_trial(known_trial(TrialState.COMPLETE, 0.5, {"lr": 1e-3}, SPACE.distributions()))


def _facts(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    return {name: v for name, v in vars(trial).items() if "datetime" not in name}


def test_an_open_trial_goes_on_first_under_its_own_number_and_key() -> None:
    whole = run(Search(SPACE, mode="max", seed=5), 6, mixed)
    past = [*as_past(whole[:3], mixed), PastTrial(whole[3], None, (0.4,), (9,))]
    assert run(Search(SPACE, mode="max", seed=5, past=past), 3, mixed) == whole[3:]


def test_a_repeated_proposal_is_answered_from_its_record_and_not_counted() -> None:
    search = Search(SMALL, mode="max", seed=3)
    proposals = run(search, 6, lambda p: ("finished", [float(p.params["n"])]))
    assert len({p.key for p in proposals}) == 6
    assert [p.number for p in proposals] == list(range(6))
    assert sum(len(p.repeats) for p in proposals) > 0
    assert len(search.study.get_trials()) == 6 + sum(len(p.repeats) for p in proposals)


def test_repeats_are_told_again_when_a_search_is_filled_from_records() -> None:
    def outcome(proposal: Proposal) -> tuple[str, list[float]]:
        return "finished", [float(proposal.params["n"])]

    whole = run(Search(SMALL, mode="max", seed=3), 6, outcome)
    cut = next(i for i, p in enumerate(whole) if p.repeats)
    assert cut < 5
    past = as_past(whole[: cut + 1], outcome)
    rest = run(Search(SMALL, mode="max", seed=3, past=past), 5 - cut, outcome)
    assert rest == whole[cut + 1 :]


def test_a_finite_space_that_is_used_up_completes_the_study() -> None:
    search = Search(SMALL, mode="max", seed=3)
    run(search, 6, lambda p: ("finished", [0.5]))
    assert search.suggest("more") == Searcher.FINISHED
    assert search.is_exhausted


def test_all_pinned_is_one_trial() -> None:
    search = Search(SPACE.pin({"lr": 1e-3, "rank": 4}), mode="max", seed=3)
    only = propose(search, "t")
    assert (dict(only.params), only.origin) == ({"lr": 1e-3, "rank": 4}, "start")
    assert search.suggest("more") == Searcher.FINISHED


def test_twenty_repeats_in_a_row_complete_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(SMALL, mode="max", seed=3)
    run(search, 2, lambda p: ("finished", [0.5]))
    monkeypatch.setattr(search.space.__class__, "size", lambda self: None)
    run(search, 4, lambda p: ("finished", [0.5]))
    before = len(search.study.get_trials())
    assert search.suggest("more") == Searcher.FINISHED
    assert len(search.study.get_trials()) == before + module.MAX_REPEATS


def diverging_share(seed: int) -> float:
    """Share of diverging proposals among the last 20 of 40, where three quarters diverge."""
    wide = SearchSpace(method="lora", params={"lr": tune.loguniform(1e-5, 1e-1)})

    def outcome(proposal: Proposal) -> tuple[str, list[float]]:
        lr = proposal.params["lr"]
        if lr > 1e-4:
            return "diverged", [math.nan]
        return "finished", [0.8 - 0.1 * abs(math.log10(lr) + 4.5)]  # best at 3e-5

    found = run(Search(wide, mode="max", seed=seed), 40, outcome)
    return sum(p.params["lr"] > 1e-4 for p in found[20:]) / 20


def test_the_sampler_leaves_regions_that_diverge() -> None:
    shares = [diverging_share(seed) for seed in range(8)]
    assert sum(shares) / len(shares) < 0.5


def test_a_proposal_that_is_running_already_waits_instead_of_ending_the_search() -> None:
    three = SearchSpace(method="lora", params={"rank": tune.choice([4, 8, 16])})
    search = Search(three, mode="max", seed=0)
    begun = [search.suggest(f"t{i}") for i in range(2)]
    while not isinstance(third := search.suggest("t2"), dict):
        assert third is None
    assert len({Proposal.from_dict(c).key for c in (*begun, third)}) == 3  # type: ignore[arg-type]
    assert search.suggest("t3") == Searcher.FINISHED


def test_fixed_proposals_come_once_and_in_order() -> None:
    made = [
        Proposal(number=i, key=f"k{i}", origin="confirm", params={"lr": 1.0}, seed=i)
        for i in range(2)
    ]
    search = FixedSearch(made, mode="max")
    assert [Proposal.from_dict(search.suggest(str(i))) for i in range(2)] == made  # type: ignore[arg-type]
    assert search.suggest("more") == Searcher.FINISHED
