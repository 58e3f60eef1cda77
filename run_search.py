"""Search every method's hyperparameters, confirm the winners, and print the comparison."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tune_sentiment.config import PADDINGS, PRECISIONS, Resources, StudyConfig, owners
from tune_sentiment.data import DATASETS, MIRROR_VARIABLE, dataset_named, mirror_folder
from tune_sentiment.errors import TuneSentimentError, UsageError, unknown
from tune_sentiment.methods import BASELINE, COMPARED, METHODS, method_named
from tune_sentiment.metrics import SEARCHABLE, metric_named

if TYPE_CHECKING:
    from tune_sentiment.study import Study

EPILOG = f"""examples:
  python run_search.py --method lora --dataset demo --model minilm
  python run_search.py --method all --dataset rotten_tomatoes --trials 32 --confirm-seeds 5
  python run_search.py --method full --dataset rotten_tomatoes --fix lr=5e-5 --fix batch_size=32

The same command again goes on where it ended; with more --trials it extends the study.
Exit codes: 0 every study has a winner, 1 a study has none, 2 bad usage, 3 cannot start.
Named datasets are looked for in --data-dir or ${MIRROR_VARIABLE} before the hub is asked."""
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Parser(argparse.ArgumentParser):
    """One line for an error, as for every other wrong value."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line; its defaults are those of ``StudyConfig`` and ``Resources``."""
    parser = _Parser(
        prog="run_search.py",
        description=__doc__,
        epilog=EPILOG,
        allow_abbrev=False,
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
    add(what, "--method", required=True, help=f"{names}, a comma list, or all")
    add(what, "--dataset", required=True, help=" ".join(DATASETS))
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
    hardware = parser.add_argument_group("hardware")
    add(hardware, "--gpus-per-trial", type=float, help="0 for CPUs (default: 1 where there is one)")
    add(hardware, "--cpus-per-trial", type=int, help="CPU threads of a trial (default: shared out)")
    add(hardware, "--concurrency", type=int, help="trials at a time (default: what fits)")
    add(hardware, "--address", help="local, or a running Ray cluster's")
    return parser


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

    owned = {
        name: owners(METHODS[name].hyperparameters, is_neural=METHODS[name].is_neural)
        for name in methods
    }
    known = sorted({key for names in owned.values() for key in names})
    fixed: dict[str, dict[str, Any]] = {name: {} for name in methods}
    seen: set[str] = set()
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not text:
            raise UsageError(f"--fix wants NAME=VALUE, got '{pair}'")
        if key in seen:
            raise UsageError(f"--fix {key} is given twice")
        if key not in known:
            raise unknown("hyperparameter", key, known, plural="Hyperparameters")
        seen.add(key)
        for name in methods:
            if key in owned[name]:
                fixed[name][key] = parse_value(key, text, SPACES[name], owned[name])
    return fixed


def plan(args: argparse.Namespace) -> "tuple[list[Study], Resources, Path]":
    """Resolve everything that was asked for, before anything starts.

    The baseline's study comes first where the comparison has none yet.

    Raises:
        UsageError: If a value is wrong.
        StartError: If data or model cannot be had.
    """
    methods = chosen_methods(args.method)
    dataset_named(args.dataset)
    metric = metric_named(args.metric)
    mirror = mirror_folder(args.data_dir)
    if args.name is not None and not LABEL.fullmatch(args.name):
        raise UsageError(f"--name wants letters, digits, '.', '_' or '-', got {args.name!r}")
    results = Path(args.results).expanduser().resolve()
    if results.exists() and not results.is_dir():
        raise UsageError(f"--results {args.results} is not a folder")
    shared = {f.name for f in fields(StudyConfig)} - {"method", "fixed"}
    asked = {name: getattr(args, name) for name in shared}
    needed = {f.name: getattr(args, f.name) for f in fields(Resources)}
    resources = Resources(**needed)
    StudyConfig(method=methods[0], **asked)
    fixed = fixed_values(args.fix or [], methods)

    from search_spaces import SPACES
    from tune_sentiment.study import Source, resolve

    wants_gpu = resources.gpus_per_trial is None or resources.gpus_per_trial > 0
    source = Source.find(args.dataset, args.model, mirror=mirror, wants_gpu=wants_gpu)

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
    args = build_parser().parse_args(argv)
    try:
        studies, resources, results = plan(args)
        from tune_sentiment.command import describe, search

        if args.dry_run:
            print(describe(studies, resources, results))
            return 0
        search(studies, resources, results)
    except TuneSentimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return show(studies, results)


def show(studies: "Sequence[Study]", results: Path) -> int:
    """Print the comparison and what to do next; write it into each winner's card."""
    from analysis.load import load_studies
    from analysis.tables import markdown
    from tune_sentiment.card import write_card

    loaded = [
        s for s in load_studies([results]) if s.description["comparison"] == studies[0].comparison
    ]
    table = markdown(loaded)
    print(f"\n{table}\n")
    for study in studies:
        write_card(results / study.id, table)
    without = [study.id for study in studies if not _has_winner(study.id, loaded)]
    for name in without:
        print(f"error: {name} ended without a winner; see its trials/", file=sys.stderr)
    print(f"Results: {results} · all tables: python -m analysis {results}")
    print(f"Next: {next_step(studies)}")
    return 1 if without else 0


def _has_winner(study_id: str, loaded: Sequence[Any]) -> bool:
    return any(s.description["id"] == study_id and s.winner is not None for s in loaded)


def next_step(studies: "Sequence[Study]") -> str:
    """One thing that is worth trying after this command."""
    config = studies[-1].config
    if config.dataset == "demo":
        return "python run_search.py --method all --dataset rotten_tomatoes --model minilm"
    if config.confirm_seeds < 3:
        return f"the same command with --confirm-seeds {StudyConfig.confirm_seeds}, for a spread"
    return f"the same command with --trials {2 * config.trials} extends the search"


if __name__ == "__main__":
    sys.exit(main())
