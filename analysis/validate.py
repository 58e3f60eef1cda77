"""``--check``: what is wrong with records that could be read, by name."""

from collections import Counter
from collections.abc import Iterable

from analysis.load import LoadedStudy


def problems(studies: Iterable[LoadedStudy]) -> list[str]:
    """Everything in these studies' records that is not as the ledger writes it."""
    found: list[str] = []
    for study in studies:
        found += study.incomplete
        times = Counter(trial["number"] for trial in study.trials)
        found += [
            f"{study.path}: number {number} is given to several trials"
            for number, count in sorted(times.items())
            if count > 1
        ]
    return found
