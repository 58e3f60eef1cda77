"""Searchers replayed on a table: what they are told, what they pay, and how they are compared."""

from itertools import islice, product

import numpy as np
import pytest

from benchmarks.search_efficiency import (
    EVALUATIONS,
    at_equal_cost,
    evaluations_to_target,
    to_target,
)
from benchmarks.search_replay import PLAYERS, Table, best_so_far
from benchmarks.search_table import EPOCHS, GRID, RATES, cells

CELLS = list(product(*GRID.values()))


def rising(seed: int) -> Table:
    """Every cell rises a little with each epoch; the best learning rate is 1e-3."""
    rng = np.random.default_rng(seed)
    scores = {}
    for cell in CELLS:
        best = 0.8 - 0.05 * abs(np.log10(cell[0] / 1e-3)) - 0.01 * rng.random()
        scores[cell] = [best - 0.02 * (EPOCHS - epoch) for epoch in range(1, EPOCHS + 1)]
    return Table(scores)


def test_the_table_has_the_nearest_learning_rate() -> None:
    table = Table({cell: [float(RATES.index(cell[0]))] * EPOCHS for cell in CELLS})
    params = dict(zip(GRID, CELLS[0], strict=True))
    assert table.at({**params, "lr": 1.1e-4}) == [1.0] * EPOCHS
    assert table.at({**params, "lr": 1.9e-4}) == [2.0] * EPOCHS  # nearer by its logarithm


def test_a_seed_of_which_cells_are_missing_is_no_table() -> None:
    rows = [{**cell, "seed": 1, "val_accuracy": [0.5] * EPOCHS} for cell in cells()]
    assert Table.of(rows, seed=1).best == 0.5
    with pytest.raises(ValueError, match="seed 2"):
        Table.of([*rows, {**rows[0], "seed": 2}], seed=2)


@pytest.mark.parametrize("name", PLAYERS)
def test_a_replay_repeats_and_finds_more_than_the_first_trial(name: str) -> None:
    table = rising(0)
    found = [best_so_far(PLAYERS[name], table, seed, 80) for seed in (1, 1, 2)]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    assert found[0][-1] > found[0][EPOCHS - 1]


def test_a_trial_that_is_trained_to_its_end_pays_every_epoch() -> None:
    table = rising(0)
    epochs = {score: e for scores in table.scores.values() for e, score in enumerate(scores, 1)}
    paid = [epochs[score] for score in islice(PLAYERS["random"](table, 0), 3 * EPOCHS)]
    assert paid == [1, 2, 3, 4] * 3
    halved = [epochs[score] for score in islice(PLAYERS["ours"](table, 0), 120)]
    assert halved.count(1) > halved.count(EPOCHS)


def test_what_never_reaches_the_target_counts_as_all_that_was_allowed() -> None:
    curves = np.full((3, EVALUATIONS), 0.01)
    curves[0, 9:] = 0.003
    curves[1, 0:] = 0.0
    assert evaluations_to_target(curves).tolist() == [10, 1, EVALUATIONS]


def test_the_ratio_is_the_peers_evaluations_over_ours_with_an_interval_around_it() -> None:
    rng = np.random.default_rng(0)

    def reached(mean: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        at = rng.integers(mean // 2, mean + mean // 2, size=60)
        return np.where(np.arange(1, 401)[None] >= at[:, None], 0.0, 0.02)

    row = to_target(reached(120), reached(40), "random")
    assert row["low"] < 3 < row["high"]
    assert row["ratio"] == pytest.approx(3, rel=0.15)
    assert row["target"] == 10
    assert "not in 400: 0 and 0" in row["note"]
    assert "2.00 - 0.00 = +2.00" in at_equal_cost(reached(120), reached(40), "random", 59)["value"]
