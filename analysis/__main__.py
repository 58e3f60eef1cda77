"""``python -m analysis RESULTS…``: print the tables of every comparison found there."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.load import by_comparison, load_studies
from analysis.tables import markdown


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="folders that run_search.py wrote")
    args = parser.parse_args(argv)
    groups = by_comparison(load_studies(args.results))
    if not groups:
        print(f"error: no study.json under {' '.join(map(str, args.results))}", file=sys.stderr)
        return 2
    print("\n\n".join(markdown(studies) for studies in groups.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
