"""Optuna's distributions, as studies store what they searched."""

from typing import Any

import optuna.distributions as od


def contains(domain: od.BaseDistribution, value: Any) -> bool:
    """Whether a distribution could ever propose the value."""
    if isinstance(domain, od.CategoricalDistribution):
        return value in domain.choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    assert isinstance(domain, od.IntDistribution | od.FloatDistribution)
    return bool(domain.low <= value <= domain.high)
