"""A search space of the user's own: a Python file with one ``SPACE``."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from traceback import extract_tb
from typing import Any

import optuna.distributions as od

from tune_sentiment.config import defaults, owners, split
from tune_sentiment.errors import UsageError, unknown
from tune_sentiment.methods import method_named
from tune_sentiment.space import SearchSpace, field_type, is_domain

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
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except SyntaxError as error:
        at = f" line {error.lineno}" if error.lineno else ""
        raise UsageError(f"{path}{at}: {error.msg}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    names: dict[str, Any] = {"__name__": "own_space", "__file__": str(path)}
    try:
        exec(code, names)
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in extract_tb(error.__traceback__) if f.filename == str(path)]
        at = f" line {lines[-1]}" if lines else ""
        raise UsageError(f"{path}{at}: {type(error).__name__}: {error}") from error
    found = names.get(NAME)
    if not isinstance(found, SearchSpace):
        what = f"{NAME} is a {type(found).__name__}" if NAME in names else f"no {NAME}"
        raise UsageError(f"{path}: {what}; it wants {NAME} = SearchSpace(method=..., params=...)")
    try:
        check(found)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return replace(found, is_own=True)


def check(space: SearchSpace) -> None:
    """Refuse a space that could propose what its method does not take.

    Raises:
        UsageError: If a name has no owner, one is missing, or a value is of another type or out of
            range.
    """
    if not isinstance(space.method, str):
        raise UsageError(f"method={space.method!r} is no name")
    method = method_named(space.method)
    owned = owners(method.hyperparameters, is_neural=method.is_neural)
    if not isinstance(space.fixed or {}, Mapping):
        raise UsageError(f"fixed={space.fixed!r} is no dict")
    pinned = dict(space.fixed or {})
    for name, domain in space.params.items():
        if name not in owned:
            raise unknown("hyperparameter", name, owned, plural="Hyperparameters")
        if not is_domain(domain):
            raise UsageError(f"{name}={domain!r} is no domain; pin a value with fixed={{...}}")
    if both := sorted(set(pinned) & set(space.params)):
        raise UsageError(f"{both[0]} is both searched and pinned")
    if missing := sorted(set(owned) - set(space.params) - set(pinned) - set(defaults(owned))):
        raise UsageError(f"no domain for the hyperparameters {', '.join(missing)}")
    if space.prior:
        raise UsageError("prior is for --warm-start to fill; start takes points of your own")
    if space.is_listed and not space.start and space.params:
        raise UsageError("is_listed wants start points: they are all that is run")
    plan = PLAN if method.is_neural else {}
    for point in (*space.start, *extremes(space)):
        values = {**point, **pinned}
        for name, value in values.items():
            if name in owned:  # else the owner's own refusal names it
                _check_type(name, value, field_type(name, owned))
        split(values, method.hyperparameters, is_neural=method.is_neural, **plan)


def _check_type(name: str, value: Any, kind: str) -> None:
    """Refuse a value that a record could not hold as what it is."""
    fitting = {"int": (int,), "float": (int, float), "str": (str,)}[kind]
    if isinstance(value, bool) or type(value) not in fitting:
        wanted = {"int": "whole numbers", "float": "numbers", "str": "words"}[kind]
        raise UsageError(f"{name} wants {wanted}, got {value!r} ({type(value).__name__})")


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
