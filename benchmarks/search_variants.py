"""Our search with other settings of ASHA and other start points, replayed on the recorded table.

``python -m benchmarks.search_variants`` prints the table that ``docs/what-did-not-help.md`` has of
them; it takes half an hour of one core.
"""

import sys
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import sem
from tabulate import tabulate

from benchmarks.search_efficiency import (
    EVALUATIONS,
    STANDARD_ERROR,
    evaluations_to_target,
    never_there,
    recorded,
    regrets,
)
from benchmarks.search_replay import START, in_space, ours

REPLAYS, FIRST_SEED = 240, 3000  # seeds that chose nothing
REGRET_AT = (8, 16, 32, 96)  # evaluations
FULLS = {**START[0], "lr": 2e-5}  # the lab reports' learning rate of full fine-tuning
VARIANTS: dict[str, dict[str, Any]] = {
    "as it ships: a half kept, and what is within a standard error": {},
    "a half kept": {"scored_texts": 0},
    "a third kept": {"scored_texts": 0, "reduction_factor": 3},
    "a third kept, within a standard error": {"reduction_factor": 3},
    "a quarter kept, within a standard error": {"reduction_factor": 4},
    "as it ships, from the second epoch on": {"grace_period": 2},
    "as it ships, without a start point": {"start": []},
    "as it ships, and the lab reports' 2e-5 on q and v and on every map": {
        "start": [*START, in_space(FULLS), in_space({**FULLS, "targets": "all"})]
    },
    "as it ships, and 1e-3 on every map": {
        "start": [*START, in_space({**START[0], "lr": 1e-3, "targets": "all"})]
    },
    "as it ships, and 1e-3 on q and v": {"start": [*START, in_space({**START[0], "lr": 1e-3})]},
    "as it ships, and 5e-4 on q and v": {"start": [*START, in_space({**START[0], "lr": 5e-4})]},
}
HEADERS = ("what", "to 0.3 points", "never", "to 1.3 points", *(f"at {n}" for n in REGRET_AT))


def cells(what: str, settings: dict[str, Any]) -> list[str]:
    """A row: mean evaluations to both targets, and mean regret in points, with standard errors."""
    curves = regrets(partial(ours, **settings), recorded(), REPLAYS, EVALUATIONS, FIRST_SEED)
    near, far = evaluations_to_target(curves), evaluations_to_target(curves, STANDARD_ERROR)
    lacking = [f"{100 * curves[:, at - 1].mean():.2f}" for at in REGRET_AT]
    return [what, _mean(near), str(never_there(curves)), _mean(far), *lacking]


def _mean(values: "np.ndarray[Any, np.dtype[np.int64]]") -> str:
    return f"{values.mean():.1f} ± {sem(values):.1f}"


def main() -> None:
    """Replay all of them."""
    rows = []
    for what, settings in VARIANTS.items():
        rows.append(cells(what, settings))
        print(rows[-1], file=sys.stderr, flush=True)
    print(tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
