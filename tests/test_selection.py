from typing import Any

import pytest

from tune_sentiment.selection import SCREENED, candidates, confirmed, fresh_seeds

SEED = 42


def trial(number: int, score: float | None, status: str = "finished") -> dict[str, Any]:
    return {"number": number, "key": f"k{number}", "status": status, "val_accuracy": score}


def run(number: int, seed: int, score: float | None, status: str = "finished") -> dict[str, Any]:
    return {"trial_key": f"k{number}", "seed": seed, "status": status, "val_accuracy": score}


TRIALS = [trial(0, 0.7), trial(1, 0.9), trial(2, 0.8), trial(3, 0.8), trial(4, 0.99, "diverged")]


def chosen(*runs: dict[str, Any], mode: str = "max") -> Any:
    found = confirmed(TRIALS, runs, metric="val_accuracy", mode=mode, seed=SEED)
    return None if found is None else found["number"]


def test_fresh_seeds_are_none_that_the_search_used() -> None:
    assert fresh_seeds(SEED, 3) == [43, 44, 45]


@pytest.mark.parametrize(("seeds", "numbers"), [(5, [1, 2, 3]), (2, [1, 2, 3]), (1, [1])])
def test_the_best_three_are_trained_again_where_the_seeds_allow(
    seeds: int, numbers: list[int]
) -> None:
    found = candidates(TRIALS, "val_accuracy", "max", seeds)
    assert [t["number"] for t in found] == numbers
    assert len(numbers) <= SCREENED


def test_the_best_mean_over_fresh_seeds_wins_not_the_best_of_the_search() -> None:
    runs = [run(1, 43, 0.8), run(1, 44, 0.8), run(2, 43, 0.85), run(2, 44, 0.83)]
    assert chosen(*runs) == 2
    more = [*runs, run(3, 43, 0.9), run(3, 44, 0.9)]
    assert chosen(*more) == 3
    assert chosen(*more, mode="min") == 2


def test_of_equal_means_the_better_in_the_search_wins() -> None:
    assert chosen(run(2, 43, 0.8), run(2, 44, 0.8), run(1, 43, 0.8), run(1, 44, 0.8)) == 1
    assert chosen(run(3, 43, 0.8), run(2, 43, 0.8)) == 2


def test_later_seeds_of_the_winner_do_not_change_who_it_is() -> None:
    runs = [run(n, seed, score) for n, score in ((1, 0.8), (2, 0.85)) for seed in (43, 44)]
    assert chosen(*runs, run(2, 45, 0.1), run(1, 45, 0.99)) == 2


def test_a_trial_with_fewer_runs_that_came_out_cannot_win() -> None:
    runs = [run(1, 43, 0.8), run(1, 44, 0.8), run(2, 43, 0.99), run(2, 44, None, "diverged")]
    assert chosen(*runs) == 1
    assert chosen(run(2, 43, None, "diverged")) is None
