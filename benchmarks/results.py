"""RESULTS.md, from the records that the benchmarks left."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.harness import RECORDS

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
HEADERS = ("what", "beside", "ratio", "interval", "rounds", "target", "limit_fraction", "note")
TITLES = {
    "frozen_sweep": "Frozen features, computed once",
    "step_rate": "One training",
    "padding": "Padding, as a lab report compared it",
    "trial_tax": "What a search spends around its trials",
    "search_efficiency": "Evaluations to the same answer",
    "second_study": "A search that begins with another one's winner",
    "study_end_to_end": "A whole study",
    "study_frozen": "A whole study of frozen features",
    "scale": "Many trials on many slots",
    "large_ledgers": "A long search, read again",
    "agreement": "The same answers",
    "gpu": "On a GPU",
}
BINDS = {  # under a benchmark's table
    "frozen_sweep": """
What binds: encoding takes every side but the second study twice what the floor allows, and before a
configuration is tried this product starts Python, Ray, and workers that import torch and
transformers, once for the features and once for the trials: about half of its time here. The
hand-written loop is one process. With the features kept, a second study is ahead of it; with more
configurations or sentences the start counts for less.
""",
    "step_rate": """
What binds on SST-2: its sentences have half the tokens, so what lies between the matrix products
(element-wise work, copies, the optimizer, Python) weighs more. `docs/what-did-not-help.md` says
where a step goes and what was tried.
""",
    "scale": """
What binds: the driver's processor, and late in a study the sampler. Simulated slots share two cores
with the driver, so it could take in more results a second than these. What follows for 10,000
trials on 512 GPUs stands in [docs/scale.md](../docs/scale.md).
""",
    "large_ledgers": """
What binds: of a check the libraries' imports and 20,000 small files; of a report its figures, which
have a mark for each trial; of a search that goes on the imports, Ray and its workers, as in a new
study.
""",
    "search_efficiency": """
A replay pays one evaluation for each epoch that a training runs. Here a ratio is that of the mean
evaluations, of which a replay has 400 if it did not get there (the notes say how many), and its
interval a bootstrap's 95 % over replays: a searcher's luck, not that of another table. What binds:
one configuration of 72 lies within 0.3 points of the best, the same one in both tables, and after
one epoch it does not stand out: this target asks whether a search spares it, and takes a dozen
configurations to meet it at all. 1.3 points are a standard error of this validation. ASHA's factor
and its error were chosen on this table, with other replays than these. Ours begins with LoRA's
start point, as it ships, the others with none; without it, ours needs as many.
""",
    "second_study": """
Ratio and interval are those of the replays above: evaluations to the best less 0.3 points of a cold
start, over those of a search that tries the named configurations first. What binds: a first trial
is trained to its end, for there is nothing to compare it with, and the sampler begins beside it.
""",
    "study_end_to_end": """
What binds: arithmetic. An evaluation (an epoch and a pass over validation) takes 20 s, ours on one
of two cores, a peer's on both. Ours begins to train after half a minute (imports, Ray, the SVM's
features, a forecast); in its last minute it trains the winner with a fresh seed, opens the test
split and measures what the model's use costs. Some of both went to workers' imports that are not
needed any more since this was recorded. transformers' searches train their winner again, Ray Tune's
Tuner has its model already. Which trial is the first at the target is luck of the search's seed:
two rounds say little about that. Peers have no start point; ours has one, which is far from the
target here.
""",
    "study_frozen": """
What binds: the start and the end. Encoding takes every side as long, then 64 configurations take
seconds. Ray and two trials' workers, which import torch and transformers, cost ours and the Tuner
as much again; Optuna by hand does without. At the end ours encodes the test split, scores both
winners on it and measures what their use costs, which neither of the others does. The others'
figures count a head's trial once, ours each of its epochs.
""",
    "gpu": """
Here `limit_fraction` is the model's FLOPs utilisation: both sides compute in bf16, and the least
time is that of their matrix products at the measured speed of a large one in bf16.
""",
    "trial_tax": """
What binds: a trial is flushed to the disk three times (proposal, evaluation, record) and evaluated
by eight metrics, which a search around plain Ray Tune is not. Of a trial of one second most of the
overhead here is the study's start, shared out among few trials.
""",
}
INTRODUCTION = """# Benchmarks

Every ratio is **the peer's cost over ours**, so 2.0 means that the peer needs twice as
long. In each round every side runs once, in the next one backwards, all on one machine. The ratio
is the median of the rounds' ratios; its interval spans the smallest and the largest of them, which
covers the median with probability 1 - 2^(1 - rounds). "ours again" is the null row: the same code
on both sides, which should be 1.00. `limit_fraction` is the least time that the arithmetic could
take on this machine (matrix products of the encoder on real tokens, at the speed of a large
single-precision matrix product measured beside it) over our time.

`make bench` writes this file; each benchmark's docstring says what it runs, and `peers/` holds what
it is compared with, set as each project's own documentation shows it. A better setting of a peer is
welcome.
"""


def write(path: Path = RESULTS, records: Path = RECORDS) -> None:
    """Write the tables of all records."""
    parts = [INTRODUCTION]
    for name, title in TITLES.items():
        file = records / f"{name}.json"
        parts.append(f"## {title} (`{name}`)\n")
        parts.append(section(json.loads(file.read_text())) if file.exists() else "Not run.\n")
        if name in BINDS and file.exists():
            parts.append(BINDS[name].lstrip())
    path.write_text("\n".join(parts).rstrip() + "\n")


def section(record: dict[str, Any]) -> str:
    """One benchmark's table, and where it was run."""
    rows = [_cells(row) for row in record["rows"]]
    used = [i for i in range(len(HEADERS)) if any(row[i] for row in rows)]
    table = tabulate(
        [[row[i] for i in used] for row in rows],
        headers=[HEADERS[i] for i in used],
        tablefmt="github",
        disable_numparse=True,
    )
    return f"{table}\n\n{_circumstances(record['circumstances'])}\n"


def _cells(row: dict[str, Any]) -> Sequence[str]:
    if "missing" in row:
        return [row["what"], row["peer"], "", "", "", "", "", f"not run: {row['missing']}"]
    if "value" in row:
        met = {True: "met", False: "missed", None: ""}[row["is_met"]]
        return [row["what"], row["peer"], "", "", "", met, "", row["value"]]
    target = row.get("target")
    met = "" if target is None else f"{target:.3g}, {'met' if row['ratio'] >= target else 'missed'}"
    limit = row.get("limit_fraction")
    return [
        row["what"],
        row["peer"],
        f"{row['ratio']:.2f}",
        f"{row['low']:.2f} to {row['high']:.2f}",
        str(row["rounds"]),
        met,
        "" if limit is None else f"{limit:.2f}",
        row.get("note", ""),
    ]


def _circumstances(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{found['time'][:10]}, commit {found['commit']}, {found['device']}, "
        f"{found['cores']} cores, load {found['load'][0]} before, "
        f"matrix product {found['sgemm_gflops']:.0f} GFLOP/s; "
        f"Python {found['python']}, {versions}."
    )
