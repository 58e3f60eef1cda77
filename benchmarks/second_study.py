"""A search that begins with another study's winner, replayed beside one that does not.

Replays are those of ``search_efficiency``, of this product's search alone: cold with its method's
start points, warm with a winner of ``records/priors.jsonl`` before them. The adverse winners are
made up: the ends of the learning rate's range.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.harness import Row, missing
from benchmarks.priors import RELATED, UNRELATED, read
from benchmarks.search_efficiency import EVALUATIONS, recorded, regrets, to_target
from benchmarks.search_replay import Player, Table, distributions, ours
from benchmarks.search_table import RATES
from search_spaces import SPACES
from tune_sentiment.domains import nearest

REPLAYS = 240  # a tenth more or less is within the noise of 60
COLD = "a cold start"
WORTH = 1 / 1.1  # an unrelated winner costs a tenth at most

Params = dict[str, Any]


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of the evaluations to the target, cold over warm."""
    tables = recorded()
    if not tables or not read():
        return [
            missing("a search with earlier winners", COLD, "search_table, priors: not recorded")
        ]
    replays, evaluations = (3, 40) if quick else (REPLAYS, EVALUATIONS)
    starts = [in_space(point) for point in SPACES["lora"].start]
    cold = regrets(partial(ours, start=starts), tables, replays, evaluations)
    rows: list[Row] = []
    for what, (points, target) in points_by_origin(starts[0]).items():
        say(f"  {what}: {points}")
        player = begun_with(points, starts, every=len(tables))
        found = regrets(player, tables, replays, evaluations)
        row = to_target(cold, found, COLD)
        rows.append({**row, "what": f"evaluations to the target, {what}", "target": target})
    return rows


def points_by_origin(example: Params) -> dict[str, tuple[list[Params], float | None]]:
    """Points by where they come from, and the ratio hoped for."""
    stored = read()
    made = {
        f"beginning with a winner on {dataset} with {model}": (
            [in_space(e["params"]) for e in stored if (e["dataset"], e["model"]) == names],
            target,
        )
        for names, target in ((RELATED, None), (UNRELATED, WORTH))
        for dataset, model in [names]
    }
    ends = {"smallest": min(RATES), "largest": max(RATES)}
    for name, rate in ends.items():
        point = {**example, "lr": rate}
        made[f"beginning with the {name} learning rate"] = ([point], WORTH)
    return made


def begun_with(points: Sequence[Params], starts: Sequence[Params], every: int) -> Player:
    """A player whose replays begin with the points in turn, one each, after so many the next."""

    def play(table: Table, seed: int) -> Iterator[float]:
        return ours(table, seed, prior=[points[seed // every % len(points)]], start=starts)

    return play


def in_space(params: Mapping[str, Any]) -> Params:
    """A configuration as ``--warm-start`` moves it into the replayed space.

    A choice that is not there is the first one that is.
    """
    found = {name: nearest(domain, params.get(name)) for name, domain in distributions().items()}
    choices = {name: getattr(d, "choices", (None,))[0] for name, d in distributions().items()}
    return {name: choices[name] if value is None else value for name, value in found.items()}
