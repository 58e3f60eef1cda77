import json
from dataclasses import replace

import pytest
from ray import tune

from search_spaces import SPACES
from tune_sentiment.config import owners
from tune_sentiment.errors import UsageError
from tune_sentiment.methods import METHODS
from tune_sentiment.space import SearchSpace, parse_value

PARAMS = {"lr": tune.loguniform(1e-5, 1e-2), "rank": tune.choice([4, 8]), "n": tune.randint(1, 4)}


def space(**start: object) -> SearchSpace:
    return SearchSpace(method="lora", params=PARAMS, start=[start] if start else [])


@pytest.mark.parametrize(
    "start",
    [
        {"lr": 1.0, "rank": 4, "n": 1},
        {"lr": 1e-3, "rank": 5, "n": 1},
        {"lr": 1e-3, "rank": 4, "n": 4},
        {"lr": 1e-3, "rank": 4},
        {"lr": 1e-3, "rank": 4, "n": 1, "m": 1},
        {"lr": "1e-3", "rank": 4, "n": 1},
    ],
)
def test_a_start_point_outside_the_space_is_refused(start: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="start"):
        space(**start)


def test_pinning_takes_a_name_out_of_the_search_and_out_of_the_start_points() -> None:
    both = SearchSpace(
        method="lora",
        params=PARAMS,
        start=[{"lr": 1e-3, "rank": 4, "n": 1}, {"lr": 1e-4, "rank": 4, "n": 1}],
    )
    pinned = both.pin({"lr": 0.5})
    assert set(pinned.params) == {"rank", "n"}
    assert pinned.fixed == {"lr": 0.5}
    assert pinned.start == [{"rank": 4, "n": 1}]


def test_earlier_winners_are_tried_before_the_start_points_and_change_what_a_space_is() -> None:
    cold = space(lr=1e-3, rank=4, n=1)
    won = {"lr": 1e-4, "rank": 8, "n": 2}
    warm = replace(cold, prior=[won])
    assert warm.tried_first == [won, *cold.start]
    assert replace(cold, prior=[cold.start[0]]).tried_first == cold.start
    assert warm.example() == cold.start[0]
    assert warm.pin({"lr": 0.5}).prior == [{"rank": 8, "n": 2}]
    assert warm.describe() == {**cold.describe(), "prior": [won]}
    assert "prior" not in cold.describe()
    with pytest.raises(UsageError, match="outside"):
        replace(cold, prior=[{**won, "lr": 1.0}])


def test_the_size_of_a_finite_space_is_known() -> None:
    assert space().size() is None
    assert space().pin({"lr": 1e-3}).size() == 6
    assert space().pin({"lr": 1e-3, "rank": 4, "n": 1}).size() == 1


@pytest.mark.parametrize("method", SPACES)
def test_a_space_is_described_in_json(method: str) -> None:
    described = json.loads(json.dumps(SPACES[method].describe()))
    assert set(described["distributions"]) == set(SPACES[method].params)
    assert described["start"] == [dict(point) for point in SPACES[method].start]


def parse(name: str, text: str) -> object:
    row = METHODS["lora"]
    owned = owners(row.hyperparameters, is_neural=True)
    return parse_value(name, text, SPACES["lora"], owned)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lr", "5e-5", 5e-5),
        ("rank", "8", 8),
        ("rank", "64", 64),
        ("alpha_over_rank", "2", 2),
        ("alpha_over_rank", "1.5", 1.5),
        ("targets", "all", "all"),
        ("schedule", "cosine", "cosine"),
        ("batch_size", "24", 24),
    ],
)
def test_a_pinned_value_gets_the_type_of_its_hyperparameter(
    name: str, text: str, value: object
) -> None:
    found = parse(name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rank", "8.5", "rank must be a whole number, got '8.5'"),
        ("lr", "1e-5x", "lr must be a number, got '1e-5x'"),
        ("learning_rate", "1", "unknown hyperparameter 'learning_rate'"),
    ],
)
def test_a_pinned_value_of_another_type_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(name, text)
