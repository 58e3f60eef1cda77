"""The product's own search over many trials of nothing on many simulated slots, and parts of it."""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune as domains
from ray.cluster_utils import Cluster

from benchmarks.nothing import NAME
from benchmarks.tax_ours import NoInputs, resident_bytes
from search_spaces import SPACES
from tune_sentiment import tuner
from tune_sentiment.config import Resources, StudyConfig
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.environment import set_environment
from tune_sentiment.ledger import PastTrial, StudyFolder
from tune_sentiment.proposal import Proposal, trial_key
from tune_sentiment.records import Training
from tune_sentiment.scheduler import Asha, scheduler_settings
from tune_sentiment.searcher import Search
from tune_sentiment.session import ray_session
from tune_sentiment.source import Source
from tune_sentiment.space import SearchSpace
from tune_sentiment.study import resolve
from tune_sentiment.workload import open_folder

NODES = 2
EVALUATIONS = 5  # of a trial, in what is not run but filled in
PROPOSALS = 5  # timed after each number of trials


def live(asked: dict[str, Any]) -> dict[str, float]:
    """A search of many trials on a cluster of nodes that claim more cores than there are.

    The first trials, which start the workers, are not counted.
    """
    spec = dataset_named("demo")
    source = Source.find(spec, "tiny", mirror=None, seed=0, wants_gpu=False)
    space = SearchSpace(method=NAME, params={"x": domains.uniform(0, 1)}, start=[{"x": 0.5}])
    renamed = [0]
    sys.addaudithook(lambda event, _: renamed.__setitem__(0, renamed[0] + (event == "os.rename")))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(NODES):
            cluster.add_node(num_cpus=asked["slots"] // NODES)
        resources = Resources(address=cluster.address, cpus_per_trial=1)
        with tempfile.TemporaryDirectory() as results, ray_session(resources):
            inputs: Any = NoInputs()
            for trials in (asked["slots"], asked["slots"] + asked["trials"]):
                config = StudyConfig(
                    method=NAME,
                    dataset="demo",
                    trials=trials,
                    fixed={"seconds": asked["seconds"]},
                    confirm_seeds=0,
                )
                study = resolve(config, space, source)
                folder = open_folder(study, Path(results))
                before = (time.perf_counter(), time.process_time(), renamed[0], resident_bytes())
                tuner.run([(study, folder)], lambda study: inputs, resources)
                after = (time.perf_counter(), time.process_time(), renamed[0], resident_bytes())
            assert len(folder.trials()) == asked["slots"] + asked["trials"]
    finally:
        cluster.shutdown()
    names = ("seconds", "processor_seconds", "writes", "bytes")
    return {n: b - a for n, a, b in zip(names, before, after, strict=True)}


def _filled(count: int) -> list[PastTrial]:
    """Trials as a ledger would know them, with scores that say which values are good."""
    distributions = SPACES["full"].distributions()
    search = Search(SPACES["full"], mode="max", seed=1)
    made = []
    for number in range(count):
        trial = search.study.ask(distributions) if number < 10 else None
        params = trial.params if trial else {n: _drawn(d, number) for n, d in distributions.items()}
        score = 0.8 - 0.02 * abs(number % 17 - 8) / 8
        proposal = Proposal(
            number=number,
            key=trial_key(params, number),
            origin="sampler",
            params=params,
            seed=1,
        )
        scores = tuple(score + 0.001 * i for i in range(EVALUATIONS))
        sequences = tuple(number * EVALUATIONS + i + 1 for i in range(EVALUATIONS))
        made.append(PastTrial(proposal, "finished", scores, sequences))
    return made


def _drawn(distribution: Any, number: int) -> Any:
    choices = getattr(distribution, "choices", None)
    if choices:
        return choices[number % len(choices)]
    share = (number * 0.6180339887498949) % 1.0
    low, high = distribution.low, distribution.high
    return low * (high / low) ** share if distribution.log else low + (high - low) * share


def parts(asked: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Processor seconds of what the driver does for one trial, or once, after so many trials.

    A write to the ledger is timed by the clock: it waits for the disk.
    """
    found: dict[str, dict[str, float]] = {}
    settings = scheduler_settings(EVALUATIONS, 1, 0.0)
    for count in asked["counts"]:
        past = _filled(count)
        make = partial(Search, SPACES["full"], mode="max", seed=1, past=past)
        search, filling = _timed(make)
        for point in range(len(SPACES["full"].start)):  # which come before the sampler's
            search.suggest(f"start-{point}")
        _, proposing = _timed(partial(_propose, search))
        _, replaying = _timed(partial(Asha, mode="max", settings=settings, past=past))
        with tempfile.TemporaryDirectory() as folder:
            study = StudyFolder(Path(folder))
            _, writing = _timed(partial(_write, study, past), time.perf_counter)
            _, reading = _timed(study.trainings)
        found[str(count)] = {
            "proposal": proposing / PROPOSALS,
            "write": writing / count,
            "plan": filling + replaying + reading,
        }
    return found


def _propose(search: Search) -> None:
    for number in range(PROPOSALS):
        search.suggest(str(number))


def _write(study: StudyFolder, past: list[PastTrial]) -> None:
    for trial in past:
        lines = [
            {"evaluation": i + 1, "sequence": s, "objective": o, "status": "running"}
            for i, (s, o) in enumerate(zip(trial.sequences, trial.objectives, strict=True))
        ]
        study.write_training(Training(trial.proposal, "", lines))


def _timed(
    work: Callable[[], Any], clock: Callable[[], float] = time.process_time
) -> tuple[Any, float]:
    started = clock()
    made = work()
    return made, clock() - started


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        set_environment()
        asked = json.loads(sys.argv[1])
        made: Any = live(asked) if "slots" in asked else parts(asked)
    print(json.dumps(made))
