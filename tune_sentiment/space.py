"""A method's search space: where its hyperparameters move, and where the search starts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import optuna.distributions as od
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from tune_sentiment.domains import contains
from tune_sentiment.errors import UsageError, unknown


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Where the hyperparameters of a method may move.

    Args:
        method: A name in METHODS.
        params: A Ray Tune domain for each searched hyperparameter.
        start: Configurations that are tried first, in order: known-good ones.
        prior: Configurations that are tried before those: winners of earlier searches.
        fixed: Pinned hyperparameters, no longer searched.
        is_listed: Whether the start points are all that is run, each to its last epoch.
        is_own: Whether it is the user's, from a file.

    Raises:
        UsageError: If a start point misses a hyperparameter or lies outside its domain.
    """

    method: str
    params: Mapping[str, Any]
    start: Sequence[Mapping[str, Any]] = ()
    prior: Sequence[Mapping[str, Any]] = ()
    fixed: Mapping[str, Any] | None = None
    is_listed: bool = False
    is_own: bool = False

    def __post_init__(self) -> None:
        domains = self.distributions()
        for point in (*self.prior, *self.start):
            if set(point) != set(domains):
                raise UsageError(
                    f"{self.method}: a start point names {sorted(point)}, the space "
                    f"{sorted(domains)}"
                )
            for name, value in point.items():
                if not contains(domains[name], value):
                    raise UsageError(
                        f"{self.method}: start value {name}={value!r} is outside {domains[name]}"
                    )

    def distributions(self) -> dict[str, od.BaseDistribution]:
        """The searched hyperparameters as Optuna distributions."""
        return dict(OptunaSearch.convert_search_space(dict(self.params)))

    def pin(self, values: Mapping[str, Any]) -> "SearchSpace":
        """The space with some hyperparameters held at a value; it may lie outside their domain."""

        def unpinned(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            for point in points:
                rest = {name: value for name, value in point.items() if name not in values}
                if rest and rest not in found:
                    found.append(rest)
            return found

        return SearchSpace(
            method=self.method,
            params={name: d for name, d in self.params.items() if name not in values},
            start=unpinned(self.start),
            prior=unpinned(self.prior),
            fixed={**(self.fixed or {}), **values},
            is_listed=self.is_listed,
            is_own=self.is_own,
        )

    @property
    def tried_first(self) -> list[dict[str, Any]]:
        """What the search begins with, in order, each once."""
        rest = [dict(point) for point in self.start if point not in self.prior]
        return [*map(dict, self.prior), *rest]

    def example(self) -> dict[str, Any]:
        """A configuration from the space: the first start point, else the middle of it."""
        if self.start:
            return dict(self.start[0])
        made = {}
        for name, domain in self.distributions().items():
            if isinstance(domain, od.CategoricalDistribution):
                made[name] = domain.choices[0]
            elif isinstance(domain, od.IntDistribution):
                made[name] = domain.low
            else:
                assert isinstance(domain, od.FloatDistribution)
                low, high = domain.low, domain.high
                made[name] = math.sqrt(low * high) if domain.log else (low + high) / 2
        return made

    def describe(self) -> dict[str, Any]:
        """The space as JSON values: Optuna distributions, pinned values, start points."""
        domains = self.distributions().items()
        marks: dict[str, Any] = {
            name: True for name in ("is_listed", "is_own") if getattr(self, name)
        }
        if self.prior:  # named only where there is one: the ids of all other studies stay
            marks["prior"] = [dict(point) for point in self.prior]
        return {
            "distributions": {name: od.distribution_to_json(d) for name, d in sorted(domains)},
            "fixed": dict(self.fixed or {}),
            "start": [dict(point) for point in self.start],
            **marks,
        }

    def size(self) -> int | None:
        """How many configurations there are; ``None`` if a hyperparameter is continuous."""
        if self.is_listed:
            distinct = {tuple(sorted(point.items())) for point in self.start}
            return max(1, len(distinct))  # all pinned: one configuration
        total = 1
        for domain in self.distributions().values():
            if isinstance(domain, od.CategoricalDistribution):
                total *= len(domain.choices)
            elif domain.single():
                continue
            elif isinstance(domain, od.IntDistribution):
                total *= (domain.high - domain.low) // domain.step + 1
            else:
                return None
        return total


def field_type(name: str, owned: Mapping[str, type]) -> str:
    """A hyperparameter's type as its owner declares it: ``int``, ``float`` or ``str``."""
    kind = {field.name: field.type for field in fields(owned[name])}[name]
    return kind if isinstance(kind, str) else kind.__name__


def is_domain(value: Any) -> bool:
    """Whether values can be drawn from it."""
    return isinstance(value, tune.search.sample.Domain)


def parse_value(name: str, text: str, space: SearchSpace, owned: Mapping[str, type]) -> Any:
    """The value that a person wrote behind ``NAME=``, in the type of the hyperparameter.

    Raises:
        UsageError: If it is not of that type.
    """
    if name not in owned:
        raise unknown("hyperparameter", name, owned, plural="Hyperparameters")
    domain = space.params.get(name)
    if isinstance(domain, tune.search.sample.Categorical):
        for choice in domain.categories:
            if str(choice) == text:
                return choice
    kind = field_type(name, owned)
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        wanted = "a whole number" if kind == "int" else "a number"
        raise UsageError(f"{name} must be {wanted}, got '{text}'") from None
    return text
