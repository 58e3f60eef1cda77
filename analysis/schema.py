"""What a record must be like: used when ledgers are read, and by ``--check``."""

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from optuna.distributions import BaseDistribution

from tune_sentiment.domains import contains
from tune_sentiment.records import RECORD_FIELDS, SCHEMA, STATUSES, TrialRecord

TYPES = {
    name: tuple(kind for kind in get_args(wanted) or (wanted,) if kind is not NoneType)
    for name, wanted in get_type_hints(TrialRecord).items()
}
ADDED = ("gpus",)  # within a schema: each study's id holds that, and a new one would begin it anew
NEVER_NULL = ("number", "seed", "key", "status", "evaluations_run")


def problems(
    record: Any, path: Path, study: str, searched: Mapping[str, BaseDistribution]
) -> list[str]:
    """Why a record cannot be used; empty if it can.

    Args:
        record: What the file holds.
        path: Where it stands.
        study: Name of the study's folder.
        searched: The study's space.
    """
    if not isinstance(record, dict):
        return ["it is not an object"]
    schema = record.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        return [f"schema {schema!r} is not one of 1 to {SCHEMA}"]
    found = [f"no field {name}" for name in NEVER_NULL if record.get(name) is None]
    for name in RECORD_FIELDS:
        if record.get(name) is not None and not _is_a(record[name], TYPES[name]):
            found.append(f"{name} is {record[name]!r}")
    for name, value in record.items():
        if name.startswith("test_") and value is not None and not _is_a(value, (float,)):
            found.append(f"{name} is {value!r}")
    if record.get("status") not in STATUSES:
        found.append(f"status {record.get('status')!r} is not one of {', '.join(STATUSES)}")
    if record.get("study") != study:
        found.append(f"it belongs to study {record.get('study')!r}")
    if not found and path.stem != _stem(path, record):
        found.append(f"its name is not {_stem(path, record)}")
    for name, domain in searched.items():
        if name in record and not contains(domain, record[name]):
            found.append(f"{name}={record[name]!r} is not in the space")
    return found


def missing_fields(record: Any) -> list[str]:
    """Fields that a record of the present schema must have and this one has not."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        return []  # none at all; or an older one, which may lack fields that came later
    return [
        f"no field {name}" for name in RECORD_FIELDS if name not in record and name not in ADDED
    ]


def _is_a(value: object, allowed: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    if isinstance(value, float) and value != value:
        return False
    return isinstance(value, allowed)


def _stem(path: Path, record: Mapping[str, Any]) -> str:
    is_trial = path.parent.name == "trials"
    return f"{record['number']:05d}-{record['key']}" if is_trial else str(record["key"])
