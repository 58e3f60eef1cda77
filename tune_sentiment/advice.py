"""What a person is told to type next."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tune_sentiment.config import StudyConfig
from tune_sentiment.methods import COMPARED
from tune_sentiment.options import build_parser

OF_ONE_RUN = ("method", "dataset", "fix", "name", "dry_run", "space", "warm_start")


def this_command(argv: Sequence[str] | None) -> str:
    """The command that is running, to be typed again."""
    words = sys.argv[1:] if argv is None else argv
    return f"{python_command()} run_search.py {shlex.join(words)}"


def python_command() -> str:
    """This Python as a person would type it: relative in a checkout with its own environment."""
    python = Path(sys.executable)
    here = Path.cwd()
    return str(python.relative_to(here)) if python.is_relative_to(here) else python.name


def next_step(args: argparse.Namespace, compared: Sequence[set[str]]) -> str:
    """One thing that is worth trying after a search.

    Args:
        args: Of ``run_search.py``.
        compared: Methods that stand in each comparison.
    """
    if args.preset is not None:
        return f"{python_command()} -m analysis {args.results} --table published"
    command = f"{python_command()} run_search.py"
    others = [name for name in COMPARED if not all(name in each for each in compared)]
    if others:
        asked = build_parser().parse_args(["--method", others[0], "--dataset", args.dataset])
        words = [f"--method {others[0]} --dataset {shlex.quote(args.dataset)}"]
        for name, default in vars(asked).items():
            value = getattr(args, name)
            if name not in OF_ONE_RUN and value != default:
                flag = f"--{name.replace('_', '-')}"
                words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
        where = "this table" if len(compared) < 2 else "each table"
        return f"{command} {' '.join(words)} adds a row to {where}"
    if args.confirm_seeds < 3:
        seeds = StudyConfig.confirm_seeds
        return f"the same command with --confirm-seeds {seeds}, for an honest spread"
    return f"the same command with --trials {2 * args.trials} extends the search"
