"""A side that is measured from the start of its process to its end."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_sentiment.environment import ENVIRONMENT

CHECKOUT = Path(__file__).resolve().parent.parent


def run_side(
    module: str, arguments: Mapping[str, Any], cache: Path | None = None
) -> tuple[float, dict[str, Any]]:
    """Run ``python -m module`` with JSON arguments; seconds, and what it printed last as JSON.

    What the product sets in its environment is taken out: a peer has its own defaults.

    Args:
        module: Prints one line of JSON at its end.
        arguments: For it.
        cache: Folder of caches; a new one if none is given, so that nothing is there before.

    Raises:
        RuntimeError: If it fails.
    """
    with tempfile.TemporaryDirectory() as new:
        environment = {name: v for name, v in os.environ.items() if name not in ENVIRONMENT}
        environment["TUNE_SENTIMENT_CACHE"] = str(cache or new)
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", module, json.dumps(arguments)],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout.strip().splitlines()[-1])
