"""A search by plain Ray Tune, OptunaSearch beside ASHA as their documentation pairs them.

It is harmed as ours is, so that docs/reliability.md can say what happens to it. The same command
goes on with what it finds, by ``Tuner.restore``. In FAULT_FOLDER it leaves ``starts.log`` (trial,
first step, evaluations so far), ``evaluations.log``, ``ended.log`` (trials that Tune said were
complete) and ``results-PID.json`` (how each trial of a search that ended did).
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import sitecustomize as harms
from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

MARKS = Path(os.environ["FAULT_FOLDER"])
STEPS = 10  # between two evaluations
STEP_SECONDS = 0.1
STATE = "state.json"
STATE_BYTES = 30_000


def note(name: str, line: str) -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{line}\n")


def lines(name: str) -> list[str]:
    path = MARKS / name
    return path.read_text().split("\n")[:-1] if path.exists() else []


def key_of(config: dict[str, Any]) -> str:
    """A trial is known by what it tries: a restored search gives new ids to the same trials."""
    return f"{config['lr']:.17g}"


def number_of(key: str) -> str:
    """Trials count in the order in which they begin."""
    numbers = MARKS / "numbers"
    numbers.mkdir(exist_ok=True)
    for number in range(1000):
        claim = numbers / str(number)
        try:
            with claim.open("x") as file:
                file.write(key)
            return claim.name
        except FileExistsError:
            if claim.read_text() == key:
                return claim.name
    raise AssertionError("too many trials")


def train(config: dict[str, Any]) -> None:
    key, begun = key_of(config), 0
    if (saved := tune.get_checkpoint()) is not None:
        with saved.as_directory() as folder:
            begun = json.loads((Path(folder) / STATE).read_text())["step"]
    made = lines("evaluations.log").count(key)
    note("starts.log", f"{key} {begun} {made}")
    number = number_of(key)
    kind = harms.FAULTS.get(number) or harms.FAULTS.get("*")
    objective = abs(config["lr"] - 1e-4)
    for step in range(begun, config["evaluations"] * STEPS):
        time.sleep(STEP_SECONDS)
        if kind == "nan" and step == harms.AT_STEP:
            objective = float("nan")
        elif kind in harms.HARM and step >= harms.AT_STEP and harms.is_left(f"{kind}-{number}"):
            harms.HARM[kind]()
        if (step + 1) % STEPS == 0:
            with tempfile.TemporaryDirectory() as folder:
                state = json.dumps({"step": step + 1, "weights": "0" * STATE_BYTES})
                (Path(folder) / STATE).write_text(state)
                checkpoint = tune.Checkpoint.from_directory(folder)
                tune.report({"objective": objective}, checkpoint=checkpoint)
            note("evaluations.log", key)


class Ended(Callback):
    """Notes what Tune says is complete."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        note("ended.log", key_of(trial.config))


def tuner(args: argparse.Namespace) -> tune.Tuner:
    """A new search, or the one that lies in the folder."""
    trainable = tune.with_resources(train, {"CPU": args.cpus_per_trial, "GPU": args.gpus_per_trial})
    folder = Path(args.results)
    space = {"lr": tune.loguniform(1e-5, 1e-3), "evaluations": args.evaluations}
    if tune.Tuner.can_restore(str(folder / "search")):
        return tune.Tuner.restore(
            str(folder / "search"), trainable, param_space=space, resume_errored=True
        )
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            num_samples=args.trials,
            metric="objective",
            mode="min",
            search_alg=OptunaSearch(seed=1),
            scheduler=ASHAScheduler(max_t=args.evaluations),
            max_concurrent_trials=args.concurrency,
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(folder),
            failure_config=tune.FailureConfig(max_failures=1),
            callbacks=[Ended()],
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--evaluations", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--cpus-per-trial", type=float, default=1)
    parser.add_argument("--gpus-per-trial", type=float, default=0)
    parser.add_argument("--address")
    parser.add_argument("--results", required=True)
    args = parser.parse_args()
    if args.address:
        ray.init(address=args.address)
    else:
        ray.init("local", include_dashboard=False, object_store_memory=100 << 20)
    grid = tuner(args).fit()
    ended = {
        key_of(result.config): {
            "error": str(result.error).splitlines()[-1] if result.error else None,
            "objective": (result.metrics or {}).get("objective"),
        }
        for result in grid
        if result.config  # one that never began has none
    }
    (MARKS / f"results-{os.getpid()}.json").write_text(json.dumps(ended))


if __name__ == "__main__":
    main()
