"""How many evaluations each searcher needs to the same answer, replayed on a recorded table.

The targets are fixed by the table alone: its best validation accuracy less 0.3 points, and less a
standard error of that accuracy. A replay is a searcher with a seed of its own on the trainings of
one seed, in turn; one that does not reach the target counts as if it had at the last evaluation
that it was allowed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from benchmarks.harness import OURS, Row, missing, read_lines
from benchmarks.search_replay import PLAYERS, VALIDATION_TEXTS, Player, Table, best_so_far
from benchmarks.search_table import SEEDS, TABLE
from tune_sentiment.scheduler import standard_error

REPLAYS = 240
FIRST_SEED = 2000  # those below chose ASHA's settings and the start point
EVALUATIONS = 400  # beyond the whole table's
TOLERANCE = 0.003  # of accuracy
STANDARD_ERROR = round(standard_error(0.78, VALIDATION_TEXTS), 3)  # of the best: 1.3 points
REGRET_AT = (32, 96)  # evaluations
TARGETS = {
    "random": 10.0,
    "Ray Tune's OptunaSearch + ASHA": 3.0,
    "one epoch each, the best finished": 1.5,
}

ROUNDING = 1e-9
Curves = np.ndarray[tuple[int, int], np.dtype[np.float64]]  # replays x evaluations: regret


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of evaluations to the target, and of regret at equal cost."""
    tables = recorded()
    if not tables:
        return [missing("evaluations to the best", "", "search_table: not recorded")]
    replays, evaluations = (4, 40) if quick else (REPLAYS, EVALUATIONS)
    curves = {}
    for name, player in PLAYERS.items():
        curves[name] = regrets(player, tables, replays, evaluations)
        reached = evaluations_to_target(curves[name])
        say(f"  {name}: {np.median(reached):.0f} evaluations to the target")
    peers = [name for name in PLAYERS if name != OURS]
    marks = [evaluations] if quick else REGRET_AT
    return [
        *(to_target(curves[name], curves[OURS], name) for name in peers),
        *(to_target(curves[name], curves[OURS], name, STANDARD_ERROR) for name in peers),
        *(at_equal_cost(curves[name], curves[OURS], name, at) for at in marks for name in peers),
    ]


def recorded() -> list[Table]:
    """The table's seeds that are whole."""
    trainings = read_lines(TABLE)
    return [Table.of(trainings, seed) for seed in SEEDS if Table.is_whole(trainings, seed)]


def regrets(
    player: Player,
    tables: Sequence[Table],
    replays: int,
    evaluations: int,
    first_seed: int = FIRST_SEED,
) -> Curves:
    """What each replay's best still lacks to its table's, after each evaluation."""
    found = []
    for seed in range(first_seed, first_seed + replays):
        table = tables[seed % len(tables)]
        found.append(table.best - best_so_far(player, table, seed, evaluations))
    return np.array(found)


def evaluations_to_target(
    curves: Curves, tolerance: float = TOLERANCE
) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """For each replay; those that do not reach it have all that were allowed."""
    reached = curves <= tolerance + ROUNDING
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, curves.shape[1])


def never_there(curves: Curves, tolerance: float = TOLERANCE) -> int:
    """How many replays do not reach the target."""
    return int((curves > tolerance + ROUNDING).all(axis=1).sum())


def to_target(peer: Curves, mine: Curves, name: str, tolerance: float = TOLERANCE) -> Row:
    """The ratio of mean evaluations to the target, with a 95 % bootstrap interval over replays."""
    theirs, ours = (evaluations_to_target(curves, tolerance) for curves in (peer, mine))
    spread = bootstrap(
        (theirs, ours),
        lambda a, b, axis: np.mean(a, axis=axis) / np.mean(b, axis=axis),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    never = [never_there(curves, tolerance) for curves in (peer, mine)]
    return {
        "what": f"evaluations to the best less {100 * tolerance:.1f} points",
        "peer": name,
        "ratio": float(theirs.mean() / ours.mean()),
        "low": float(spread.low),
        "high": float(spread.high),
        "rounds": len(ours),
        "target": TARGETS.get(name) if tolerance == TOLERANCE else None,
        "note": (
            f"means {theirs.mean():.0f} and {ours.mean():.0f}, medians {np.median(theirs):.0f} and "
            f"{np.median(ours):.0f}; not in {peer.shape[1]}: {never[0]} and {never[1]}"
        ),
    }


def at_equal_cost(peer: Curves, mine: Curves, name: str, at: int) -> Row:
    """Mean regret of both after so many evaluations, and their difference's 95 % interval."""
    theirs, ours = 100 * peer[:, at - 1], 100 * mine[:, at - 1]
    spread = bootstrap(
        (theirs, ours),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return {
        "what": f"regret after {at} evaluations, in points, less ours",
        "peer": name,
        "value": (
            f"{theirs.mean():.2f} - {ours.mean():.2f} = {theirs.mean() - ours.mean():+.2f} "
            f"({spread.low:+.2f} to {spread.high:+.2f})"
        ),
        "is_met": None,
    }
