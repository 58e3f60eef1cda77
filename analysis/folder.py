"""A study's folder beside its records: what it is, what belongs in it, the files of its end."""

import json
from pathlib import Path
from typing import Any

from tune_sentiment.durable import read_json
from tune_sentiment.ledger import COMPARISON, FORECAST, SELECTION, TRACKING

FOLDERS = {"checkpoints", "confirm", "evaluations", "ray", TRACKING, "trials", "winner"}
FILES = {COMPARISON, FORECAST, SELECTION, "study.json", "test-openings.jsonl", "texts.parquet"}
REPORT = {"figures", "report.html", "report.md", "summary.md"}
KNOWN = FOLDERS | FILES | REPORT
SUFFIXES = {
    "trials": (".json",),
    "evaluations": (".jsonl",),
    "confirm": (".json", ".jsonl", ".parquet", ".safetensors"),
}
NEEDED = {
    "classes": list,
    "comparison": str,
    "comparison_of": dict,
    "dataset": str,
    "id": str,
    "method": str,
    "metric": str,
    "mode": str,
    "model": str,
    "plan": dict,
    "seed": int,
    "space": dict,
    "splits": dict,
}
PLANNED = ("max_epochs", "evaluations_per_epoch")  # of a method with epochs


def describe(folder: Path) -> dict[str, Any]:
    """What a study is.

    Raises:
        ValueError: If its ``study.json`` cannot be read.
    """
    description = read_json(folder / "study.json")
    if not isinstance(description, dict):
        raise ValueError("it is not an object")
    for name, kind in NEEDED.items():
        if not isinstance(description.get(name), kind):
            raise ValueError(f"{name} is {description.get(name)!r}")
    plan = description["plan"]
    if plan and not all(isinstance(plan.get(name), int) for name in PLANNED):
        raise ValueError(f"plan has not {' and '.join(PLANNED)}")
    if not {"train", "test"} <= set(description["splits"]):
        raise ValueError("its splits are not train, validation and test")
    return description


def selection(folder: Path, gaps: list[str]) -> dict[str, Any] | None:
    """``winner``, the key of the trial that was confirmed, and ``trials``, those there were then.

    ``None`` if there is none; what cannot be read is a gap.
    """
    path = folder / SELECTION
    if not path.exists():
        return None
    try:
        stored = read_json(path)
        return {"winner": str(stored["winner"]), "trials": {str(key) for key in stored["trials"]}}
    except (OSError, ValueError, KeyError, TypeError):
        gaps.append(f"{path} cannot be read: the winner is worked out again")
        return None


def openings(folder: Path, gaps: list[str]) -> list[dict[str, Any]]:
    """What was noted each time that the test split was opened; what cannot be read is a gap."""
    path = folder / "test-openings.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [{**o, "key": str(o["key"]), "seeds": [int(s) for s in o["seeds"]]} for o in found]
    except (OSError, ValueError, KeyError, TypeError) as error:
        gaps.append(f"{path} cannot be read: {short(error)}")
        return []


def forecast(folder: Path, gaps: list[str]) -> dict[str, Any] | None:
    """What was forecast when the search began; ``None`` if nothing was, or it cannot be read."""
    path = folder / FORECAST
    if not path.exists():
        return None
    try:
        stored = read_json(path)
        found: dict[str, Any] = {"trials": int(stored["trials"])}
        for name in ("expected_evaluations", "devices"):
            found[name] = float(stored[name])
        for name in ("device_seconds", "price_per_hour"):
            found[name] = None if stored[name] is None else float(stored[name])
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        gaps.append(f"{path} cannot be read: {short(error)}")
        return None


def strangers(folder: Path) -> list[Path]:
    """What stands in a study's folder and does not belong there."""
    found = [path for path in folder.iterdir() if path.name not in KNOWN]
    for name, suffixes in SUFFIXES.items():
        found += [path for path in (folder / name).glob("*") if path.suffix not in suffixes]
    return sorted(path for path in found if not path.name.startswith("."))


def short(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__} {error}".split("\n")[0][:120]
