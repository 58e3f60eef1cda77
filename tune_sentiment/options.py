"""The command line's options; their defaults are those of the dataclasses they fill."""

import argparse
import sys
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from tune_sentiment.columns import Columns
from tune_sentiment.config import PADDINGS, PRECISIONS, Resources, StudyConfig
from tune_sentiment.data import MIRROR_VARIABLE
from tune_sentiment.datasets_table import DATASETS
from tune_sentiment.methods import METHODS
from tune_sentiment.metrics import SEARCHABLE
from tune_sentiment.reader import FORMATS
from tune_sentiment.trackers import PROJECT, TRACKERS

DESCRIPTION = "Search every method's hyperparameters, confirm the winners, print the comparison."
EPILOG = f"""examples:
  python run_search.py --method lora --dataset demo --model minilm
  python run_search.py --method all --dataset rotten_tomatoes --trials 32 --confirm-seeds 5
  python run_search.py --method full --dataset rotten_tomatoes --fix lr=5e-5 --fix batch_size=32

The same command again goes on where it ended; with more --trials it extends the study.
Exit codes: 0 every study has a winner, 1 a study has none, 2 bad usage, 3 cannot start.
Named datasets are looked for in --data-dir or ${MIRROR_VARIABLE} before the hub is asked."""


DATASET_HELP = (
    f"{' '.join(DATASETS)}, a hub id, a file, or a folder with a file for each split ("
    f"{', '.join(FORMATS)})"
)


class Parser(argparse.ArgumentParser):
    """A command line without abbreviations; one line for an error, as for any wrong value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options; one that is given twice is an error instead of an overwritten value."""
        words = sys.argv[1:] if args is None else args
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        for flag in flags:
            if flags.count(flag) > 1 and flag != "--fix":
                self.error(f"{flag} is given twice")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"error: {message} (see --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line; its defaults are those of ``StudyConfig`` and ``Resources``."""
    parser = Parser(
        prog="run_search.py",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = {f.name: f.default for c in (StudyConfig, Resources) for f in fields(c)}

    def add(group: Any, flag: str, **options: Any) -> None:
        name = flag.removeprefix("--").replace("-", "_")
        default = defaults.get(name)
        if default is not MISSING and default is not None and "action" not in options:
            options["default"] = default
            options["help"] += " (default: %(default)s)"
        group.add_argument(flag, **options)

    what = parser.add_argument_group("what")
    names = " ".join(METHODS)
    add(what, "--method", help=f"{names}, a comma list, or all")
    add(what, "--dataset", help=DATASET_HELP)
    what.add_argument(
        "--preset", help="a lab report's experiments instead of a search; list names them"
    )
    add(what, "--text-column", help="of a file or hub dataset (default: found)")
    add(what, "--label-column", help="of a file or hub dataset (default: found)")
    what.add_argument(
        "--drop-empty", action="store_true", help="leave rows without a text out of files"
    )
    what.add_argument("--encoding", default=Columns.encoding, help="of a csv, tsv or jsonl file")
    add(what, "--model", help="distilbert, minilm, tiny, a hub id or a folder")
    add(what, "--metric", metavar="METRIC", help=" ".join(SEARCHABLE))
    add(what, "--fix", action="append", metavar="NAME=VALUE", help="pin a hyperparameter")
    much = parser.add_argument_group("how much")
    add(much, "--trials", type=int, help="configurations of each study")
    add(much, "--max-epochs", type=int, help="epochs that each trial is planned for")
    add(much, "--time-budget-minutes", type=float, help="end each search after this long")
    add(much, "--confirm-seeds", type=int, help="fresh seeds for the winner; 0: no test score")
    add(much, "--train-samples", type=int, help="size of a stratified subset (default: all)")
    add(much, "--max-length", type=int, help="longest text in tokens")
    add(much, "--padding", metavar="PADDING", help=" ".join(PADDINGS))
    add(much, "--precision", metavar="PRECISION", help=f"auto {' '.join(PRECISIONS)}")
    add(much, "--seed", type=int, help="every trial of a study trains with it")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--results", default="results", help="folder for ledgers (default: %(default)s)"
    )
    add(where, "--name", help="a label for people; not part of a study's identity")
    where.add_argument("--data-dir", help="local mirror of named datasets")
    where.add_argument(
        "--dry-run", action="store_true", help="say what would be done; start and write nothing"
    )
    tracking = parser.add_argument_group("tracking")
    tracking.add_argument("--track", help=f"a comma list of {' '.join(TRACKERS)}")
    tracking.add_argument(
        "--track-project", default=PROJECT, help="what they file it under (default: %(default)s)"
    )
    tracking.add_argument(
        "--dashboard", action="store_true", help="export the studies for optuna-dashboard"
    )
    hardware = parser.add_argument_group("hardware")
    add(hardware, "--gpus-per-trial", type=float, help="0 for CPUs (default: 1 where there is one)")
    add(hardware, "--cpus-per-trial", type=int, help="CPU threads of a trial (default: shared out)")
    add(hardware, "--concurrency", type=int, help="trials at a time (default: what fits)")
    add(hardware, "--address", help="local, or a running Ray cluster's")
    return parser
