"""Our side of a whole study: the command itself, and when its evaluations and model were there."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EVERY = 0.2  # seconds between two looks


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds since the process began to each evaluation, with its score, and to the model."""
    fixed = [f"--fix={name}={value}" for name, value in asked["params"].items()]
    flags = {
        "--method": asked["method"],
        "--dataset": asked["dataset"],
        "--model": asked["model"],
        "--train-samples": asked["train_samples"],
        "--trials": asked["trials"],
        "--max-epochs": asked["max_epochs"],
        "--confirm-seeds": 1,
        "--seed": asked["seed"],
        **({"--gpus-per-trial": 0} if asked["device"] == "cpu" else {}),
    }
    words = [word for name, value in flags.items() for word in (name, str(value))]
    words += [*asked.get("words", []), *fixed]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "run_search.py", *words, "--results", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        seen: dict[tuple[str, int], list[float]] = {}
        model: float | None = None
        is_over = False
        while not is_over:
            is_over = process.poll() is not None
            for path in _of_winners(asked, folder, "evaluations/*.jsonl"):
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
                    score = json.loads(line).get("val_accuracy")
                    if score is not None and (path.name, number) not in seen:
                        seen[(path.name, number)] = [time.time() - asked["started"], score]
            ended = _of_winners(asked, folder, "winner/winner.json")
            if model is None and len(ended) == len(asked["winners"]):
                model = time.time() - asked["started"]
            time.sleep(EVERY)
        if process.returncode:
            raise RuntimeError(f"the search ended with {process.returncode}")
    return {"evaluations": sorted(seen.values()), "model": model}


def _of_winners(asked: dict[str, Any], folder: str, files: str) -> list[Path]:
    """Files of the studies whose winners are the models."""
    return [p for name in asked["winners"] for p in Path(folder).glob(f"*-{name}-*/{files}")]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
