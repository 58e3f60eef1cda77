"""Optuna's distributions, as studies store what they searched."""

import math
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


def nearest(domain: od.BaseDistribution, value: Any) -> Any:
    """What a distribution can propose in place of a value; ``None`` where nothing is like it.

    A number beyond a range becomes its end. Choices have no order: only the same one will do.
    """
    if isinstance(domain, od.CategoricalDistribution):
        return next((choice for choice in domain.choices if choice == value), None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -math.inf < value < math.inf:  # isfinite takes no whole number beyond a float's range
        return None
    assert isinstance(domain, od.IntDistribution | od.FloatDistribution)
    inside = min(max(value, domain.low), domain.high)
    if domain.step:
        steps = round((inside - domain.low) / domain.step)
        inside = min(domain.low + steps * domain.step, domain.high)
    return int(inside) if isinstance(domain, od.IntDistribution) else float(inside)
