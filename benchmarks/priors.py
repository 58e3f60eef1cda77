"""Real studies on other data and models, whose winners second_study begins with.

``python -m benchmarks.priors`` adds a line for each study to ``records/priors.jsonl`` and goes on
where it was cut off. SST-2 with MiniLM is what the table's data are like; the random two-layer
encoder on the demo's sentences is not.
"""

import subprocess
import sys
import tempfile
from typing import Any

from analysis.winners import earlier_studies
from benchmarks.harness import RECORDS, add_line, read_lines
from benchmarks.processes import CHECKOUT
from benchmarks.search_table import EPOCHS, SENTENCES
from search_spaces import SPACES

PRIORS = RECORDS / "priors.jsonl"
RELATED, UNRELATED = ("sst2", "minilm"), ("demo", "tiny")
SEEDS = (1, 2, 3)
TRIALS = 12


def winner(dataset: str, model: str, seed: int) -> dict[str, Any]:
    """Search as a person would, and take what ``--warm-start`` would take."""
    numbers = {
        "--seed": seed,
        "--trials": TRIALS,
        "--max-epochs": EPOCHS,
        "--confirm-seeds": 1,
        **({"--train-samples": SENTENCES} if dataset == RELATED[0] else {}),
    }
    words = [word for name, value in numbers.items() for word in (name, str(value))]
    words += ["--method", "lora", "--dataset", dataset, "--model", model]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "run_search.py", *words, "--results", folder],
            cwd=CHECKOUT,
            stdout=sys.stderr,
            check=True,
        )
        [found] = [each for each in earlier_studies(folder, print) if each.method == "lora"]
    record = found.winner or {}
    params = {name: record[name] for name in SPACES["lora"].params}
    made = {
        "dataset": dataset,
        "model": model,
        "seed": seed,
        "val_accuracy": record["val_accuracy"],
    }
    return {**made, "params": params}


def main() -> None:
    """Run what is missing."""
    done = {(made["dataset"], made["model"], made["seed"]) for made in read_lines(PRIORS)}
    for names in (RELATED, UNRELATED):
        for seed in SEEDS:
            if (*names, seed) not in done:
                add_line(PRIORS, winner(*names, seed))


if __name__ == "__main__":
    main()
