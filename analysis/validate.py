"""``--check``: what is wrong with records that could be read, by name."""

from collections.abc import Iterable

from analysis.load import LoadedStudy
from analysis.schema import missing_fields
from tune_sentiment.durable import read_json


def problems(studies: Iterable[LoadedStudy]) -> list[str]:
    """Everything in these studies' records that is not as the ledger writes it."""
    found: list[str] = []
    for study in studies:
        for path in sorted([*study.path.glob("trials/*.json"), *study.path.glob("confirm/*.json")]):
            try:
                stored = read_json(path)
            except (OSError, ValueError):
                continue  # named as a gap already
            if isinstance(stored, dict):
                found += [f"{path}: {problem}" for problem in missing_fields(stored)]
        numbers = [trial["number"] for trial in study.trials]
        found += [
            f"{study.path}: number {number} is given to several trials"
            for number in sorted(set(numbers))
            if numbers.count(number) > 1
        ]
    return found
