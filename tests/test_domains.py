"""What a distribution can propose, and what it proposes in place of another value."""

import math
from typing import Any

import pytest
from ray import tune

from tune_sentiment.domains import contains, nearest
from tune_sentiment.space import SearchSpace


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (tune.uniform(0.0, 0.2), 0.1, 0.1),
        (tune.uniform(0.0, 0.2), 1, 0.2),
        (tune.loguniform(1e-5, 1e-3), 1e-9, 1e-5),
        (tune.quniform(0.0, 0.3, 0.1), 0.17, pytest.approx(0.2)),
        (tune.randint(1, 9), 8.0, 8),
        (tune.qrandint(8, 64, 8), 30, 32),
        (tune.choice([16, 32]), 16.0, 16),
        (tune.choice([16, 32]), 24, None),
        (tune.choice(["qv", "all"]), "all", "all"),
        (tune.uniform(0.0, 0.2), float("nan"), None),
        (tune.uniform(0.0, 0.2), -math.inf, None),
        (tune.uniform(0.0, 0.2), 10**400, 0.2),
        (tune.uniform(0.0, 0.2), True, None),
        (tune.uniform(0.0, 0.2), "0.1", None),
        (tune.uniform(0.0, 0.2), None, None),
    ],
)
def test_a_number_out_of_range_becomes_its_end_and_a_choice_that_is_not_there_nothing(
    domain: Any, value: Any, expected: Any
) -> None:
    found = SearchSpace(method="lora", params={"x": domain}).distributions()["x"]
    got = nearest(found, value)
    assert got == expected
    assert got is None or contains(found, got)
    assert got is None or type(got) is type(found.low if hasattr(found, "low") else expected)
