"""A search space of the user's own: a Python file with one ``SPACE``."""

import runpy
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna.distributions as od

from tune_sentiment.config import defaults, owners, split
from tune_sentiment.errors import UsageError, unknown
from tune_sentiment.methods import method_named
from tune_sentiment.space import SearchSpace, is_domain

NAME = "SPACE"
PLAN = {  # of no study: only hyperparameters are checked here
    "max_epochs": 1,
    "evaluations_per_epoch": 1,
    "padding": "bucketed",
    "precision": "fp32",
    "seed": 0,
}


def load_space(path: Path) -> SearchSpace:
    """The ``SPACE`` of a file, which is run as Python.

    Raises:
        UsageError: If the file cannot be run, holds no ``SearchSpace`` of that name, or one that
            could propose what its method refuses. The reason is named.
    """
    try:
        found = runpy.run_path(str(path)).get(NAME)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except SyntaxError as error:
        raise UsageError(f"{path} line {error.lineno}: {error.msg}") from error
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        at = f" line {lines[-1]}" if lines else ""
        raise UsageError(f"{path}{at}: {type(error).__name__}: {error}") from error
    if not isinstance(found, SearchSpace):
        what = f"{NAME} is a {type(found).__name__}" if found is not None else f"no {NAME}"
        raise UsageError(f"{path}: {what}; it wants {NAME} = SearchSpace(method=..., params=...)")
    try:
        check(found)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return found


def check(space: SearchSpace) -> None:
    """Refuse a space that could propose what its method does not take.

    Raises:
        UsageError: If a name has no owner, one is missing, or a bound is out of range.
    """
    method = method_named(space.method)
    owned = owners(method.hyperparameters, is_neural=method.is_neural)
    for name, domain in space.params.items():
        if name not in owned:
            raise unknown("hyperparameter", name, owned, plural="Hyperparameters")
        if not is_domain(domain):
            raise UsageError(f"{name}={domain!r} is no domain; pin a value with fixed={{...}}")
    pinned = dict(space.fixed or {})
    if both := sorted(set(pinned) & set(space.params)):
        raise UsageError(f"{both[0]} is both searched and pinned")
    if missing := sorted(set(owned) - set(space.params) - set(pinned) - set(defaults(owned))):
        raise UsageError(f"no domain for the hyperparameters {', '.join(missing)}")
    if space.is_listed and not space.start and space.params:
        raise UsageError("is_listed wants start points: they are all that is run")
    plan = PLAN if method.is_neural else {}
    for point in (*space.start, *extremes(space)):
        split({**point, **pinned}, method.hyperparameters, is_neural=method.is_neural, **plan)


def extremes(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Configurations with one hyperparameter after the other at each end of its domain."""
    example = space.example()
    yield example
    for name, domain in space.distributions().items():
        if isinstance(domain, od.CategoricalDistribution):
            ends: tuple[Any, ...] = domain.choices
        else:
            assert isinstance(domain, od.IntDistribution | od.FloatDistribution)
            ends = (domain.low, domain.high)
        for value in ends:
            yield {**example, name: value}
