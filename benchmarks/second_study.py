"""A search that begins with another study's winner, replayed beside one that does not.

Replays are those of ``search_efficiency``, of this product's search alone: cold with its method's
start point, warm with winners of ``records/priors.jsonl`` before it: each alone, as a study of
fewer than twenty trials would take one, and all of an origin at once. A winner that is the start
point itself is left out. The adverse winners are made up: the ends of the learning rate's range.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.harness import Row, missing, read_lines
from benchmarks.priors import PRIORS, RELATED, UNRELATED
from benchmarks.search_efficiency import EVALUATIONS, recorded, regrets, to_target
from benchmarks.search_replay import START, in_space, ours
from benchmarks.search_table import RATES

REPLAYS = 240  # a tenth more or less is within the noise of 60
COLD = "a cold start"
WORTH = 1 / 1.1  # an unrelated winner costs a tenth at most

Params = dict[str, Any]


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the evaluations to the target, cold over warm."""
    tables, stored = recorded(), read_lines(PRIORS)
    if not tables or not stored:
        return [
            missing("a search with earlier winners", COLD, "search_table, priors: not recorded")
        ]
    replays, evaluations = (3, 40) if quick else (REPLAYS, EVALUATIONS)
    cold = regrets(ours, tables, replays, evaluations)
    rows: list[Row] = []
    for what, (prior, target) in priors(stored).items():
        say(f"  {what}: {prior}")
        found = regrets(partial(ours, prior=prior), tables, replays, evaluations)
        row = to_target(cold, found, COLD)
        rows.append({**row, "what": f"evaluations, beginning with {what}", "target": target})
    return rows


def priors(stored: Sequence[Params]) -> dict[str, tuple[list[Params], float | None]]:
    """What a search begins with, and the ratio hoped for, by what it is.

    Args:
        stored: Lines of ``records/priors.jsonl``.
    """
    made: dict[str, tuple[list[Params], float | None]] = {}
    for names, target in ((RELATED, None), (UNRELATED, WORTH)):
        points = [in_space(e["params"]) for e in stored if (e["dataset"], e["model"]) == names]
        points = [point for point in points if point not in START]
        origin = "on {} with {}".format(*names)
        for number, point in enumerate(points, start=1):
            made[f"winner {number} {origin}"] = ([point], target)
        made[f"all {len(points)} winners {origin}"] = (points, target)
    for name, rate in {"smallest": min(RATES), "largest": max(RATES)}.items():
        made[f"the {name} learning rate"] = ([{**START[0], "lr": rate}], WORTH)
    return made
