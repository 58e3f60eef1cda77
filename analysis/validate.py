"""``--check``: every record against the schema, and every gap by name."""

from collections.abc import Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from analysis.load import LoadedStudy, load_studies
from tune_sentiment.durable import read_json
from tune_sentiment.records import RECORD_FIELDS, SCHEMA, STATUSES, TrialRecord

TYPES = get_type_hints(TrialRecord)


def problems(results: Iterable[Path]) -> list[str]:
    """Everything in these folders that is not as the ledger writes it; empty if all is well."""
    found: list[str] = []
    for study in load_studies(results, found):
        for part, records in (("trials", study.trials), ("confirm", study.runs)):
            for record in records:
                path = study.path / part / _name(part, record)
                stored = read_json(path) if path.exists() else record
                found += [f"{path}: {problem}" for problem in _of_record(stored, study)]
        found += _of_study(study)
    return found


def _name(part: str, record: dict[str, Any]) -> str:
    if part == "trials":
        return f"{record['number']:05d}-{record['key']}.json"
    return f"{record['key']}.json"


def _of_record(record: dict[str, Any], study: LoadedStudy) -> list[str]:
    schema = record.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        return [f"schema {schema!r} is not one of 1 to {SCHEMA}"]
    found = []
    if schema == SCHEMA:  # an older one may lack fields that came later
        found += [f"no field {name}" for name in RECORD_FIELDS if name not in record]
    for name in RECORD_FIELDS:
        if name in record and not _is_a(record[name], TYPES[name]):
            found.append(f"{name} is {record[name]!r}")
    if record.get("status") not in STATUSES:
        found.append(f"status {record.get('status')!r} is not one of {', '.join(STATUSES)}")
    if record.get("study") != study.path.name:
        found.append(f"it belongs to study {record.get('study')!r}")
    return found


def _is_a(value: object, wanted: Any) -> bool:
    allowed = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    return isinstance(value, tuple(kind for kind in allowed if kind is not NoneType)) or (
        value is None and NoneType in allowed
    )


def _of_study(study: LoadedStudy) -> list[str]:
    numbers = [trial["number"] for trial in study.trials]
    keys = [trial["key"] for trial in study.trials]
    found = [
        f"{study.path}: number {n} is given to several trials"
        for n in sorted(set(numbers))
        if numbers.count(n) > 1
    ]
    found += [
        f"{study.path}: trial {key} has several records"
        for key in sorted(set(keys))
        if keys.count(key) > 1
    ]
    for run in study.scored:
        for split in ("validation", "test"):
            path = study.path / "confirm" / f"{run['key']}-predictions-{split}.parquet"
            if not path.exists():
                found.append(f"{path} is missing")
    return found
