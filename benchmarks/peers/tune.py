"""Plain Ray Tune around a trial of nothing, as its documentation shows it, or tuned.

https://docs.ray.io/en/latest/tune/examples/optuna_example.html; tuned: actors are used again and
nothing is logged.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from typing import Any


def main(asked: dict[str, Any]) -> dict[str, float]:
    """Seconds of a short search and of a long one, after one that was not timed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if asked["is_tuned"]:
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def trial(config: dict[str, Any]) -> None:
        import peft  # noqa: F401
        import sklearn.svm  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401

        time.sleep(asked["seconds"])
        tune.report({"accuracy": config["x"]})

    ray.init(address="local", include_dashboard=False, log_to_driver=False)

    def search(trials: int, folder: str) -> float:
        tuner = tune.Tuner(
            trial,
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                metric="accuracy",
                mode="max",
                num_samples=trials,
                search_alg=OptunaSearch(),
                scheduler=ASHAScheduler(),
                max_concurrent_trials=int(ray.cluster_resources()["CPU"]),
                reuse_actors=asked["is_tuned"],
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        started = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - started

    found = {}
    for name, trials in (("", 2), ("first_", asked["first"]), ("all_", asked["trials"])):
        with tempfile.TemporaryDirectory() as folder:
            found[f"{name}seconds"] = search(trials, folder)
    return found


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        made = main(json.loads(sys.argv[1]))
    print(json.dumps(made))
