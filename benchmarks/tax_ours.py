"""Our side of the trial tax: the product's own search over trials of nothing."""

import contextlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune as domains

from benchmarks.nothing import NAME, NoFeatures
from tune_sentiment import tuner
from tune_sentiment.config import Resources, StudyConfig
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.environment import set_environment
from tune_sentiment.session import ray_session
from tune_sentiment.source import Source
from tune_sentiment.space import SearchSpace
from tune_sentiment.study import resolve
from tune_sentiment.workload import open_folder


class NoInputs:
    """What ``Inputs`` is to a search, with nothing in it."""

    def __init__(self) -> None:
        self.made = ray.put(NoFeatures.make())

    def references(self, method: Any) -> dict[str, list[Any]]:
        """The trainable's arguments."""
        return {"train": [self.made], "validation": [self.made]}


def resident_bytes() -> int:
    """What this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main(asked: dict[str, Any]) -> dict[str, float]:
    """Seconds of a short search and of a long one, after one that was not timed; the memory then.

    They are one study that is extended: its ledger grows, as that of a long study does.
    """
    set_environment()
    spec = dataset_named("demo")
    source = Source.find(spec, "tiny", mirror=None, seed=0, wants_gpu=False)
    space = SearchSpace(method=NAME, params={"x": domains.uniform(0, 1)}, start=[{"x": 0.5}])
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as results, ray_session(Resources()):
        inputs: Any = NoInputs()
        total = 0
        for name, trials in (("warm", 2), ("first", asked["first"]), ("all", asked["trials"])):
            total += trials
            config = StudyConfig(
                method=NAME,
                dataset="demo",
                trials=total,
                fixed={"seconds": asked["seconds"]},
                confirm_seeds=0,
            )
            study = resolve(config, space, source)
            folder = open_folder(study, Path(results))
            started = time.perf_counter()
            tuner.run([(study, folder)], lambda _: inputs, Resources())
            found[f"{name}_seconds"] = time.perf_counter() - started
            found[f"{name}_bytes"] = resident_bytes()
            found[f"{name}_trials"] = len(folder.trials())
    return found


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        made = main(json.loads(sys.argv[1]))
    print(json.dumps(made))
