"""The command lines' options; their defaults are those of the dataclasses they fill."""

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
  python run_search.py --method all --dataset rotten_tomatoes,sst2 --model distilbert,minilm
  python run_search.py --method full --dataset rotten_tomatoes --fix lr=5e-5 --fix batch_size=32

The same command again goes on where it ended; with more --trials it extends the study.
Exit codes: 0 every study has a winner, 1 a study has none, 2 bad usage, 3 cannot start.
Named datasets are looked for in --data-dir or ${MIRROR_VARIABLE} before the hub is asked."""


DATASET_HELP = (
    f"{' '.join(DATASETS)}, a hub id, a file, or a folder with a file for each split ("
    f"{', '.join(FORMATS)})"
)


AUTO = "auto"


def gpus(text: str) -> float | str:
    """What a person wrote for the GPUs of a trial."""
    try:
        return AUTO if text == AUTO else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number or {AUTO}, got '{text}'") from None


DEFAULTS = {f.name: f.default for c in (StudyConfig, Resources) for f in fields(c)}
REPEATABLE = ("--fix", "--text")
LISTED = ("--dataset", "--model")  # of which a search takes several
OPTIONS: dict[str, dict[str, Any]] = {
    "--method": {"help": f"{' '.join(METHODS)}, a comma list, or all"},
    "--dataset": {"help": DATASET_HELP},
    "--preset": {"help": "a lab report's experiments instead of a search; list names them"},
    "--text-column": {"help": "of a file or hub dataset (default: found)"},
    "--label-column": {"help": "of a file or hub dataset (default: found)"},
    "--drop-empty": {"action": "store_true", "help": "leave rows without a text out of files"},
    "--encoding": {"default": Columns.encoding, "help": "of a csv, tsv or jsonl file"},
    "--model": {"help": "distilbert, minilm, tiny, a hub id or a folder"},
    "--metric": {"metavar": "METRIC", "help": " ".join(SEARCHABLE)},
    "--fix": {"action": "append", "metavar": "NAME=VALUE", "help": "pin a hyperparameter"},
    "--space": {
        "metavar": "FILE",
        "help": "a Python file with your own SPACE, in place of its method's",
    },
    "--warm-start": {
        "metavar": "RESULTS",
        "help": "earlier searches, whose winners on other data or models are tried first",
    },
    "--trials": {"type": int, "help": "configurations of each study"},
    "--max-epochs": {"type": int, "help": "epochs that each trial is planned for"},
    "--time-budget-minutes": {"type": float, "help": "end each search after this long"},
    "--confirm-seeds": {"type": int, "help": "fresh seeds for the winner; 0: no test score"},
    "--train-samples": {"type": int, "help": "size of a stratified subset (default: all)"},
    "--max-length": {"type": int, "help": "longest text in tokens"},
    "--padding": {"metavar": "PADDING", "help": " ".join(PADDINGS)},
    "--precision": {"metavar": "PRECISION", "help": f"auto {' '.join(PRECISIONS)}"},
    "--seed": {"type": int, "help": "every trial of a study trains with it"},
    "--results": {
        "default": "results",
        "help": "folder for ledgers, or s3://bucket/prefix (default: %(default)s)",
    },
    "--name": {"help": "a label for people; not part of a study's identity"},
    "--data-dir": {"help": "local mirror of named datasets"},
    "--dry-run": {
        "action": "store_true",
        "help": "say what would be done; start and write nothing",
    },
    "--price-per-hour": {
        "type": float,
        "metavar": "PRICE",
        "help": "of a device (a CPU thread or a GPU); forecast and report say what it costs",
    },
    "--track": {"help": f"a comma list of {' '.join(TRACKERS)}"},
    "--track-project": {
        "default": PROJECT,
        "help": "what they file it under (default: %(default)s)",
    },
    "--dashboard": {"action": "store_true", "help": "export the studies for optuna-dashboard"},
    "--gpus-per-trial": {
        "type": gpus,
        "metavar": "GPUS",
        "help": "0 for CPUs, a share of one, or auto: as many trials on each as its memory has "
        "room for, which is measured (default: auto)",
    },
    "--cpus-per-trial": {"type": int, "help": "CPU threads of a trial (default: shared out)"},
    "--concurrency": {"type": int, "help": "trials at a time (default: what fits)"},
    "--address": {
        "help": "local, auto (the Ray that runs on this machine) or a cluster's HOST:PORT"
    },
}
GROUPS = {
    "what": "--method --dataset --preset --text-column --label-column --drop-empty --encoding "
    "--model --metric --fix --space --warm-start",
    "how much": "--trials --max-epochs --time-budget-minutes --confirm-seeds --train-samples "
    "--max-length --padding --precision --seed",
    "where": "--results --name --data-dir --dry-run --price-per-hour",
    "tracking": "--track --track-project --dashboard",
    "hardware": "--gpus-per-trial --cpus-per-trial --concurrency --address",
}


class Parser(argparse.ArgumentParser):
    """One line for an error, as for every other wrong value.

    Args:
        prog: The command, as a person types it.
        description: What it does.
        epilog: Examples, printed as they are written.
    """

    def __init__(self, *, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options; one that is given twice is an error instead of an overwritten value."""
        words = sys.argv[1:] if args is None else args
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        for flag in flags:
            if flags.count(flag) > 1 and flag not in REPEATABLE:
                self.error(f"{flag} is given twice")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End the command with one line and exit code 2."""
        self.exit(2, f"error: {message} (see --help)\n")


def add_option(group: Any, flag: str, **changes: Any) -> None:
    """Add a row of OPTIONS, with the default of the dataclass field of its name if it has one.

    Args:
        group: A group of a parser's options.
        flag: With its dashes.
        changes: What this command says otherwise.
    """
    options = {**OPTIONS[flag], **changes}
    default = DEFAULTS.get(flag.removeprefix("--").replace("-", "_"))
    if default is not MISSING and default is not None and "action" not in options:
        options["default"] = default
        options["help"] += " (default: %(default)s)"
    group.add_argument(flag, **options)


def build_parser() -> Parser:
    """The search's command line; its defaults are those of ``StudyConfig`` and ``Resources``."""
    parser = Parser(prog="run_search.py", description=DESCRIPTION, epilog=EPILOG)
    for title, flags in GROUPS.items():
        group = parser.add_argument_group(title)
        for flag in flags.split():
            more = {"help": f"{OPTIONS[flag]['help']}; or a comma list"} if flag in LISTED else {}
            add_option(group, flag, **more)
    return parser


def columns_from(args: argparse.Namespace) -> Columns:
    """Which columns of a file hold what, as the options say.

    Raises:
        UsageError: If there is no such encoding.
    """
    return Columns(
        text=args.text_column,
        label=args.label_column,
        encoding=args.encoding,
        drop_empty=args.drop_empty,
    )
