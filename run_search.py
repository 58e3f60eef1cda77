"""Search every method's hyperparameters, confirm the winners, and print the comparison."""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_sentiment.columns import Columns
from tune_sentiment.config import Resources, StudyConfig, owners
from tune_sentiment.data import mirror_folder
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import TuneSentimentError, UsageError, unknown
from tune_sentiment.methods import BASELINE, COMPARED, METHODS, method_named
from tune_sentiment.metrics import metric_named
from tune_sentiment.options import build_parser
from tune_sentiment.paths import exists, is_folder, user_path
from tune_sentiment.signals import exit_code, listen

if TYPE_CHECKING:
    from tune_sentiment.study import Study

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def chosen_methods(text: str) -> list[str]:
    """The methods of ``--method``, each once, in the order of METHODS.

    Raises:
        UsageError: If a name is unknown or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"no method given. Methods: {', '.join(METHODS)}")
    if "all" in names:
        names = [*COMPARED, *(name for name in names if name != "all")]
    for name in names:
        method_named(name)
    return [name for name in METHODS if name in names]


def fixed_values(pairs: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The pinned hyperparameters of each method: those of ``--fix`` that it knows.

    Raises:
        UsageError: If a pair has no ``=``, is given twice, is of the wrong type, or is unknown to
            every method.
    """
    from search_spaces import SPACES
    from tune_sentiment.space import parse_value

    owned = {name: _owned(name) for name in methods}
    known = sorted({key for names in owned.values() for key in names})
    fixed: dict[str, dict[str, Any]] = {name: {} for name in methods}
    seen: set[str] = set()
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not text:
            raise UsageError(f"--fix wants NAME=VALUE, got '{pair}'")
        if key in seen:
            raise UsageError(f"--fix {key} is given twice")
        elsewhere = [name for name in METHODS if name not in methods and key in _owned(name)]
        if key not in known and elsewhere:
            raise UsageError(
                f"{', '.join(methods)}: no hyperparameter '{key}'; {elsewhere[0]} has it"
            )
        if key not in known:
            raise unknown("hyperparameter", key, known, plural="Hyperparameters")
        seen.add(key)
        for name in methods:
            if key in owned[name]:
                fixed[name][key] = parse_value(key, text, SPACES[name], owned[name])
    return fixed


def _owned(method: str) -> dict[str, type]:
    return owners(METHODS[method].hyperparameters, is_neural=METHODS[method].is_neural)


def plan(args: argparse.Namespace) -> "tuple[list[Study], Resources, Path]":
    """Resolve everything that was asked for, before anything starts.

    The baseline's study comes first where the comparison has none yet.

    Raises:
        UsageError: If a value is wrong.
        StartError: If data or model cannot be had.
    """
    methods = chosen_methods(args.method)
    columns = Columns(
        text=args.text_column,
        label=args.label_column,
        encoding=args.encoding,
        drop_empty=args.drop_empty,
    )
    metric = metric_named(args.metric)
    mirror = mirror_folder(args.data_dir)
    if args.name is not None and not LABEL.fullmatch(args.name):
        raise UsageError(f"--name wants letters, digits, '.', '_' or '-', got {args.name!r}")
    if "://" in args.results:
        raise UsageError(f"--results wants a folder, got '{args.results}'")
    results = user_path(args.results).absolute()
    if exists(results) and not is_folder(results):
        raise UsageError(f"--results {args.results} is not a folder")
    shared = {f.name for f in fields(StudyConfig)} - {"method", "fixed"}
    asked = {name: getattr(args, name) for name in shared}
    needed = {f.name: getattr(args, f.name) for f in fields(Resources)}
    resources = Resources(**needed)
    StudyConfig(method=methods[0], **asked)
    fixed = fixed_values(args.fix or [], methods)
    spec = dataset_named(args.dataset, columns)

    from search_spaces import SPACES
    from tune_sentiment.source import Source
    from tune_sentiment.study import resolve

    wants_gpu = resources.gpus_per_trial is None or resources.gpus_per_trial > 0
    source = Source.find(spec, args.model, mirror=mirror, seed=args.seed, wants_gpu=wants_gpu)

    def study(method: str) -> "Study":
        config = StudyConfig(method=method, fixed=fixed.get(method, {}), **asked)
        return resolve(config, SPACES[method], source)

    studies = [study(method) for method in methods]
    if BASELINE not in methods and not metric.needs_probabilities:
        baseline = study(BASELINE)
        if not _is_in_ledger(baseline, results):
            studies.insert(0, baseline)
    return studies, resources, results


def _is_in_ledger(baseline: "Study", results: Path) -> bool:
    from analysis.load import load_studies

    return any(
        loaded.method == BASELINE
        and loaded.description["comparison"] == baseline.comparison
        and loaded.winner is not None
        and (loaded.test_scores or baseline.config.confirm_seeds == 0)
        for loaded in load_studies([results])
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    set_environment()
    args = build_parser().parse_args(argv)
    try:
        studies, resources, results = plan(args)
        from tune_sentiment.command import describe, search

        if args.dry_run:
            print(describe(studies, resources, results))
            return 0
        search(studies, resources, results)
        return show(args, studies, results)
    except TuneSentimentError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted. Everything that ended is kept; go on with:", file=sys.stderr)
        print(f"  {this_command(argv)}", file=sys.stderr)
        return exit_code()


def show(args: argparse.Namespace, studies: "Sequence[Study]", results: Path) -> int:
    """Print the comparison and what to do next; write it into each winner's card."""
    from analysis.load import load_studies
    from analysis.report import markdown
    from tune_sentiment.card import write_card

    gaps: list[str] = []
    found = load_studies([results], gaps)
    for gap in gaps:
        print(f"warning: {gap}", file=sys.stderr)
    loaded = [s for s in found if s.description["comparison"] == studies[0].comparison]
    table = markdown(loaded)
    print(f"\n{table}\n")
    for study in studies:
        write_card(results / study.id, table)
    winners = {s.description["id"] for s in loaded if s.winner is not None}
    without = [study.id for study in studies if study.id not in winners]
    for name in without:
        print(f"error: {name} ended without a winner; see its trials/", file=sys.stderr)
    print(f"Results: {results} · all tables: {python_command()} -m analysis {args.results}")
    print(f"Next: {next_step(args, {s.method for s in loaded})}")
    return 1 if without else 0


def this_command(argv: Sequence[str] | None) -> str:
    """The command that is running, to be typed again."""
    words = sys.argv[1:] if argv is None else argv
    return f"{python_command()} run_search.py {shlex.join(words)}"


def python_command() -> str:
    """This Python as a person would type it: relative in a checkout with its own environment."""
    python = Path(sys.executable)
    here = Path.cwd()
    return str(python.relative_to(here)) if python.is_relative_to(here) else python.name


def next_step(args: argparse.Namespace, compared: set[str]) -> str:
    """One thing that is worth trying after this command."""
    command = f"{python_command()} run_search.py"
    others = [name for name in COMPARED if name not in compared]
    if others:
        asked = build_parser().parse_args(["--method", others[0], "--dataset", args.dataset])
        words = [f"--method {others[0]} --dataset {shlex.quote(args.dataset)}"]
        for name, default in vars(asked).items():
            value = getattr(args, name)
            if name not in ("method", "dataset", "fix", "name", "dry_run") and value != default:
                flag = f"--{name.replace('_', '-')}"
                words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
        return f"{command} {' '.join(words)} adds a row to this table"
    if args.confirm_seeds < 3:
        seeds = StudyConfig.confirm_seeds
        return f"the same command with --confirm-seeds {seeds}, for an honest spread"
    return f"the same command with --trials {2 * args.trials} extends the search"


if __name__ == "__main__":
    listen()
    sys.exit(main())
