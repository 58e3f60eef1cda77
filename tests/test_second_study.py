"""A replayed search that begins with another study's winner: what it tries, and in which order."""

from itertools import islice, product

import pytest

from benchmarks.search_replay import Table, ours
from benchmarks.search_table import EPOCHS, GRID, RATES
from benchmarks.second_study import begun_with, in_space, points_by_origin

CELLS = list(product(*GRID.values()))
TABLE = Table({cell: [0.5 + number / 1000] * EPOCHS for number, cell in enumerate(CELLS)})
START = {"lr": RATES[0], "rank": 4, "targets": "qv", "batch_size": 16}
PRIOR = {"lr": RATES[3], "rank": 16, "targets": "all", "batch_size": 32}


def first(player: object, seed: int = 0) -> list[float]:
    assert callable(player)
    return list(islice(player(TABLE, seed), 2 * EPOCHS))


def test_a_winner_is_tried_before_the_start_points() -> None:
    warm, cold = (
        first(begun_with([PRIOR], [START], every=1)),
        list(islice(ours(TABLE, 0, [START]), EPOCHS)),
    )
    assert warm[:EPOCHS] == TABLE.at(PRIOR)
    assert warm[EPOCHS] == TABLE.at(START)[0] == cold[0]


def test_replays_take_the_winners_in_turn_on_each_of_the_tables() -> None:
    play = begun_with([PRIOR, START], [], every=2)
    assert [first(play, seed)[0] for seed in range(5)] == [
        TABLE.at(point)[0] for point in (PRIOR, PRIOR, START, START, PRIOR)
    ]


def test_a_winner_is_moved_into_the_replayed_space() -> None:
    found = in_space({"lr": 1e-6, "rank": 8, "targets": "all", "dropout": 0.1})
    assert found == {"lr": min(RATES), "rank": 4, "targets": "all", "batch_size": 16}


def test_what_is_unlike_the_data_may_cost_a_tenth() -> None:
    found = points_by_origin(START)
    assert [target for _, target in found.values()] == [None, *[pytest.approx(1 / 1.1)] * 3]
    adverse = [points for what, (points, _) in found.items() if "learning rate" in what]
    assert [point["lr"] for [point] in adverse] == [min(RATES), max(RATES)]
