"""One decided training, and the key under which everything about it is kept."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One training that somebody decided on: a trial, or a confirmation run.

    Args:
        number: Place in the study, counted from 0.
        key: Hash of the configuration and the seed; names the record.
        origin: ``prior``, ``start``, ``sampler``, ``preset`` or ``confirm``.
        params: Every searched or pinned hyperparameter by name.
        seed: Random seed of this training.
        evaluations: Stop after this many evaluations; ``None`` for all that are planned.
        repeats: Keys that the sampler proposed again before this one and that were answered from
            their records, in order.
    """

    number: int
    key: str
    origin: str
    params: Mapping[str, Any]
    seed: int
    evaluations: int | None = None
    repeats: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The proposal as plain JSON values."""
        return {**asdict(self), "params": dict(self.params), "repeats": list(self.repeats)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Proposal":
        """The proposal that ``as_dict`` wrote, whatever else stands beside it."""
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**{**known, "repeats": tuple(values["repeats"])})


def digest(value: object, length: int = 12) -> str:
    """Hexadecimal sha256 of a value's canonical JSON, shortened."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def trial_key(params: Mapping[str, Any], seed: int) -> str:
    """Name of a configuration with its seed, equal on every machine and in every session."""
    return digest({"params": dict(params), "seed": seed})
