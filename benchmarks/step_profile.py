"""``python -m benchmarks.step_profile full``: where the time of a training step goes, by operation.

Not a benchmark: seconds of one side, to know what is worth changing. See docs/where-time-goes.md.
"""

import argparse
from collections import Counter

import torch
from tabulate import tabulate
from torch.profiler import ProfilerActivity, profile

from benchmarks.corpus import SEED, corpus
from benchmarks.step_rate import PARAMS, setup_for
from tune_sentiment.provenance import cores
from tune_sentiment.train import TrainState
from tune_sentiment.trial_setup import build_state

STEPS = 16
GROUPS = {  # the first that occurs in an operation's name
    "optimizer": ("adamw",),
    "clipping": ("foreach_norm", "linalg_vector_norm", "foreach_mul"),
    "embedding": ("embedding",),
    "matrix products": ("addmm", "aten::mm", "bmm", "linear"),
    "dropout": ("dropout", "bernoulli"),
    "gelu": ("gelu",),
    "norms": ("layer_norm",),
    "attention": ("scaled_dot", "softmax", "flash"),
    "copies": ("copy_", "index_", "cat", "clone", "contiguous"),
}


def group_of(operation: str) -> str:
    """The row of an operation."""
    for group, words in GROUPS.items():
        if any(word in operation for word in words):
            return group
    return "element by element, and the rest"


def seconds_by_group(method: str, padding: str, sentences: int) -> dict[str, float]:
    """Seconds of a step in each group of operations."""
    torch.set_num_threads(cores())
    data = corpus("rotten_tomatoes", sentences)
    setup = setup_for(method, data, padding=padding)
    state: TrainState = build_state(setup, PARAMS[method], SEED, data.train_tokens)
    state.model.train()
    batches = state.batches(data.train_tokens.lengths, STEPS + 2)
    for _ in range(2):
        state.take_step(data.train_tokens, next(batches))
    found: Counter[str] = Counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for items in batches:
            state.take_step(data.train_tokens, items)
    for operation in profiled.key_averages():
        found[group_of(operation.key)] += operation.self_cpu_time_total / 1e6 / STEPS
    return dict(found.most_common())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=PARAMS)
    parser.add_argument("--padding", default="packed")
    parser.add_argument("--sentences", type=int, default=512)
    args = parser.parse_args()
    found = seconds_by_group(args.method, args.padding, args.sentences)
    total = sum(found.values())
    rows = [[name, f"{1e3 * value:.1f}", f"{value / total:.0%}"] for name, value in found.items()]
    rows.append(["all", f"{1e3 * total:.1f}", ""])
    print(tabulate(rows, headers=["operations", "ms a step", "share"], tablefmt="github"))


if __name__ == "__main__":
    main()
