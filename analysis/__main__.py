"""``python -m analysis RESULTS…``: write the report of what is there, and print its tables."""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from analysis.contents import load_whole
from analysis.load import LoadedStudy, by_comparison
from analysis.readable import heading
from analysis.settings import grid
from tune_sentiment.errors import StartError, TuneSentimentError, ended_by
from tune_sentiment.markdown import harmless
from tune_sentiment.places import address_of, results_folder
from tune_sentiment.predict import plain_cell

FORMATS = ("md", "csv", "latex")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    from analysis.report import NAMES

    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument(
        "results", nargs="+", help="folders that run_search.py wrote, or s3://bucket/prefix"
    )
    parser.add_argument("--table", choices=NAMES, help="print this table only, write nothing")
    parser.add_argument("--format", choices=FORMATS, default="md", help="of --table")
    parser.add_argument("--check", action="store_true", help="validate every record instead")
    parser.add_argument("--output", help="folder of the report, else the first results")
    args = parser.parse_args(argv)
    try:
        return _run(args)
    except TuneSentimentError as error:
        return ended_by(error)


def _run(args: argparse.Namespace) -> int:
    from analysis.report import markdown, write

    roots = [results_folder(written) for written in args.results]
    gaps: list[str] = []
    studies = load_whole(roots, gaps)
    if not args.check:
        for gap in gaps:
            print(f"warning: {gap}", file=sys.stderr)
    if not studies:
        print(f"error: no study under {' '.join(args.results)}", file=sys.stderr)
        return 2
    if args.check:
        return _check(studies, gaps)
    if args.table:
        print("\n\n".join(_alone(studies, args.table, args.format)))
        return 0
    print("\n\n".join(markdown(group) for group in by_comparison(studies).values()))
    try:
        written = write(studies, gaps, results_folder(args.output) if args.output else roots[0])
    except (OSError, StartError) as error:
        print(f"error: the report cannot be written: {error}", file=sys.stderr)
        return 3
    print(f"\nReport: {' '.join(map(address_of, written))}")
    return 0


def _alone(studies: Sequence[LoadedStudy], name: str, form: str) -> list[str]:
    """One table of each comparison in a format that others read."""
    from analysis.report import GRID, TABLES, table_markdown

    if name == GRID:
        found = {"all comparisons": grid(studies)}
    else:
        groups = by_comparison(studies).values()
        found = {heading(group[0]): TABLES[name][1](group) for group in groups}
    if form == "csv":
        parts = [
            table.rename(columns=plain_cell).assign(comparison=plain_cell(title))
            for title, table in found.items()
            if len(table)
        ]
        return [pd.concat(parts).to_csv(index=False).strip()] if parts else []
    shown = []
    for title, table in found.items():
        above = f"% {' '.join(title.split())}" if form == "latex" else f"### {harmless(title)}"
        about = [] if len(found) == 1 else [above, ""]
        made = (
            table.to_latex(index=False, escape=True) if form == "latex" else table_markdown(table)
        )
        shown.append("\n".join([*about, made.strip() if len(table) else "nothing to show"]))
    return shown


def _check(studies: Sequence[LoadedStudy], gaps: Sequence[str]) -> int:
    from analysis.validate import problems

    found = [*gaps, *problems(studies)]
    for problem in found:
        print(problem)
    print(f"{len(studies)} studies, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
