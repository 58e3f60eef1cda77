"""A replayed search that begins with another study's winner: what it tries, and in which order."""

from functools import partial
from itertools import islice, product
from typing import Any

import pytest

from benchmarks.search_replay import START, Table, in_space, ours
from benchmarks.search_table import EPOCHS, GRID, RATES
from benchmarks.second_study import priors

CELLS = list(product(*GRID.values()))
TABLE = Table({cell: [0.5 + number / 1000] * EPOCHS for number, cell in enumerate(CELLS)})
PRIOR = {"lr": RATES[3], "rank": 16, "targets": "all", "batch_size": 32}


def first(player: object, seed: int = 0) -> list[float]:
    assert callable(player)
    return list(islice(player(TABLE, seed), 2 * EPOCHS))


def stored(dataset: str, model: str, **changes: Any) -> dict[str, Any]:
    return {"dataset": dataset, "model": model, "params": {**PRIOR, **changes}}


def test_a_winner_is_tried_before_the_start_points() -> None:
    warm, cold = first(partial(ours, prior=[PRIOR])), first(ours)
    assert warm[:EPOCHS] == TABLE.at(PRIOR)
    assert warm[EPOCHS] == TABLE.at(START[0])[0] == cold[0]


def test_each_winner_is_tried_alone_and_all_of_an_origin_together() -> None:
    lines = [stored("sst2", "minilm"), stored("demo", "tiny"), stored("sst2", "minilm", lr=1e-4)]
    found = {what: points for what, (points, _) in priors(lines).items() if "winner" in what}
    assert found == {
        "winner 1 on sst2 with minilm": [PRIOR],
        "winner 2 on sst2 with minilm": [{**PRIOR, "lr": 1e-4}],
        "all 2 winners on sst2 with minilm": [PRIOR, {**PRIOR, "lr": 1e-4}],
        "winner 1 on demo with tiny": [PRIOR],
        "all 1 winners on demo with tiny": [PRIOR],
    }


def test_a_winner_that_is_the_start_point_says_nothing() -> None:
    lines = [stored("demo", "tiny", **START[0]), stored("demo", "tiny")]
    assert priors(lines)["all 1 winners on demo with tiny"][0] == [PRIOR]


def test_a_winner_is_moved_into_the_replayed_space() -> None:
    found = in_space({"lr": 1e-6, "rank": 8, "targets": "all", "dropout": 0.1})
    assert found == {"lr": min(RATES), "rank": 4, "targets": "all", "batch_size": 16}


def test_what_is_unlike_the_data_may_cost_a_tenth() -> None:
    found = priors([stored("sst2", "minilm"), stored("demo", "tiny")])
    targets = {what: target for what, (_, target) in found.items()}
    assert [target for what, target in targets.items() if "sst2" in what] == [None, None]
    assert [t for what, t in targets.items() if "sst2" not in what] == [pytest.approx(1 / 1.1)] * 4
    adverse = [points for what, (points, _) in found.items() if "learning rate" in what]
    assert [point["lr"] for [point] in adverse] == [min(RATES), max(RATES)]
