"""The project's commands as a person runs them: with a hub's address and a cache of their own."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOBODY = "http://127.0.0.1:9"
HANGING = 300  # seconds: several times what any of these commands takes


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def error(self) -> str:
        """What is said on stderr: a line for the model, for the dataset, or for each."""
        lines = self.err.splitlines()
        assert 1 <= len(lines) <= 2, self.err
        assert all(line.startswith("error: ") for line in lines), self.err
        return self.err


def environment(address: str, home: Path, **more: str) -> dict[str, str]:
    """Everything but what would lead to another hub, another cache or a local mirror."""
    own = ("HF_", "TUNE_SENTIMENT_DATA", "TRANSFORMERS_OFFLINE")
    known = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    known = {name: value for name, value in known.items() if not name.lower().endswith("_proxy")}
    return {**known, "HF_ENDPOINT": address, "HF_HOME": str(home), **more}


def run(
    arguments: list[str], address: str, home: Path, script: str = "run_search.py", **more: str
) -> Ended:
    """Run a command to its end."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *script.split(), *arguments],
        cwd=ROOT,
        env=environment(address, home, **more),
        capture_output=True,
        text=True,
        timeout=HANGING,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def look(
    address: str,
    home: Path,
    *,
    dataset: str = "rotten_tomatoes",
    model: str = "distilbert",
    **more: str,
) -> Ended:
    """A dry run, with variables of the environment in capitals."""
    asked = ["--method", "svm", "--dataset", dataset, "--model", model, "--results", str(home)]
    return run([*asked, "--dry-run"], address, home, **more)
