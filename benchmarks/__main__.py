"""``python -m benchmarks``: run them and write RESULTS.md; ``--quick`` runs a little of each."""

import argparse
import json
import os
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from benchmarks import headlines, results
from benchmarks.harness import RECORDS, circumstances
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import TuneSentimentError
from tune_sentiment.provenance import cores


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(results.TITLES))
    parser.add_argument("--quick", action="store_true", help="a little of each; keeps no figures")
    args = parser.parse_args()
    if unknown := set(args.names) - set(results.TITLES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    set_environment()
    os.environ["COMET_MODE"] = "DISABLED"  # transformers loads its hooks wherever it is installed
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) if args.quick else RECORDS
        for name in args.names or results.TITLES:
            say(f"{name}:")
            started = time.perf_counter()
            around = circumstances(cores())
            try:
                rows = import_module(f"benchmarks.{name}").run(args.quick, say)
            except TuneSentimentError as error:
                print(f"error: {error}", file=sys.stderr)
                return error.exit_code
            record = {"circumstances": around, "seconds": time.perf_counter() - started}
            text = json.dumps({**record, "rows": rows}, indent=1)
            records.mkdir(exist_ok=True)
            (records / f"{name}.json").write_text(f"{text}\n")
        if args.quick:
            results.write(Path(folder) / "RESULTS.md", records)
            print((Path(folder) / "RESULTS.md").read_text())
        else:
            results.write()
            headlines.write()
            say(f"written: {results.RESULTS}, and the table in {headlines.README}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
