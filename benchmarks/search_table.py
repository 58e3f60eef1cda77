"""A table of real trainings that searchers are replayed on: a grid of LoRA, each cell trained.

``python -m benchmarks.search_table`` adds a line for each training to
``records/search_table.jsonl`` and goes on where it was cut off. With a seed after it, only that
seed's are trained: one such command for each core.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from benchmarks.corpus import MODEL, Corpus, corpus
from benchmarks.harness import RECORDS, add_line, read_lines
from benchmarks.step_rate import setup_for
from search_spaces import SPACES
from tune_sentiment.proposal import Proposal, trial_key
from tune_sentiment.reports import reports
from tune_sentiment.trial_setup import TrialSetup

TABLE = RECORDS / "search_table.jsonl"
DATASET, SENTENCES, EPOCHS, SEEDS = "rotten_tomatoes", 512, 4, (1, 2)
RATES = (3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 3e-3)
GRID: dict[str, tuple[Any, ...]] = {
    "lr": RATES,
    "rank": (4, 16),
    "targets": ("qv", "qkvo", "all"),
    "batch_size": (16, 32),
}


def cells() -> Iterator[dict[str, Any]]:
    """The grid's configurations; what is not in it is as in the space's first start point."""
    common = dict(SPACES["lora"].start[0])
    for values in product(*GRID.values()):
        yield {**common, **dict(zip(GRID, values, strict=True))}


def train(setup: TrialSetup, params: Mapping[str, Any], seed: int, data: Corpus) -> dict[str, Any]:
    """One cell's training with a seed: validation accuracy and loss of each evaluation."""
    key = trial_key(params, seed)
    proposal = Proposal(number=0, key=key, origin="preset", params=params, seed=seed)
    made: dict[str, Any] = {"key": key, "seed": seed, **{name: params[name] for name in GRID}}
    scores: dict[str, list[float]] = {"val_accuracy": [], "val_loss": []}
    for report in reports(setup, proposal, data.train_tokens, data.validation_tokens):
        details = report["details"]
        for name, values in scores.items():
            values.append(round(details["metrics"][name], 6))
    return {**made, "status": report["status"], **scores}


def main(seeds: Sequence[int] = SEEDS) -> None:
    """Train what is missing of the table."""
    torch.set_num_threads(1)
    data = corpus(DATASET, SENTENCES)
    setup = replace(setup_for("lora", data, max_epochs=EPOCHS), num_threads=1)
    done = {made["key"] for made in read_lines(TABLE)}
    asked = [(params, seed) for seed in seeds for params in cells()]
    for params, seed in asked:
        if trial_key(params, seed) in done:
            continue
        made = train(setup, params, seed, data)
        add_line(TABLE, made)
        print(f"{MODEL}, {len(read_lines(TABLE))} lines: {made}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or SEEDS)
