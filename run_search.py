"""Search every method's hyperparameters, confirm the winners, and print the comparison."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from tune_sentiment.advice import next_step, python_command, this_command
from tune_sentiment.asked import chosen_methods, fixed_values, label
from tune_sentiment.config import LOCAL, Resources, StudyConfig
from tune_sentiment.cost import check_price
from tune_sentiment.data import mirror_folder
from tune_sentiment.environment import join_soon, set_environment, stay_on_this_machine
from tune_sentiment.errors import TuneSentimentError, UsageError, ended_by, unknown
from tune_sentiment.failures import Failures
from tune_sentiment.followers import following
from tune_sentiment.inside import link_out
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import lock_if_free
from tune_sentiment.methods import BASELINE
from tune_sentiment.metrics import metric_named
from tune_sentiment.options import AUTO, build_parser, columns_from
from tune_sentiment.paths import user_path
from tune_sentiment.places import address_of, check_results, results_folder
from tune_sentiment.progress import say
from tune_sentiment.signals import exit_code, listen
from tune_sentiment.trackers import chosen_trackers

if TYPE_CHECKING:
    from tune_sentiment.preset import Preset
    from tune_sentiment.space import SearchSpace
    from tune_sentiment.study import Study


# What a preset decides itself.
DECIDED = ["method", "space", "fix", "trials", "max_epochs", "padding", "time_budget_minutes"]
DECIDED += ["warm_start"]


def plan(args: argparse.Namespace) -> "tuple[list[Study], Resources, Path]":
    """Resolve everything that was asked for, before anything starts.

    The baseline's study comes first where the comparison has none yet.

    Raises:
        UsageError: If a value is wrong.
        StartError: If data or model cannot be had.
    """
    preset = _preset(args)
    methods = [] if args.method is None else chosen_methods(args.method)
    columns = columns_from(args)
    metric_named(args.metric)
    mirror = mirror_folder(args.data_dir)
    if args.name is not None:
        label("--name", args.name)
    check_price(args.price_per_hour)
    check_results(args.results)
    shared = {f.name for f in fields(StudyConfig)} - {"method", "fixed"}
    asked = {name: getattr(args, name) for name in shared}
    needed = {f.name: getattr(args, f.name) for f in fields(Resources)}
    is_auto = args.gpus_per_trial == AUTO  # a person wrote so: a cluster's GPUs are meant, too
    resources = Resources(**{**needed, **({"gpus_per_trial": None} if is_auto else {})})
    if preset:
        asked["dataset"] = args.dataset or preset.dataset
    StudyConfig(**{"method": BASELINE, **asked})
    spaces, methods = _spaces(args, methods)
    fixed = fixed_values(args.fix or [], methods, spaces)

    from tune_sentiment.grid import Grid, Pair
    from tune_sentiment.sources import find_datasets, find_sources, listed

    datasets, models = listed("--dataset", asked["dataset"]), listed("--model", args.model)
    specs = find_datasets(datasets, columns)
    results = results_folder(args.results).absolute()
    wants_gpu = resources.gpus_per_trial is None or resources.gpus_per_trial > 0
    sources = find_sources(
        specs,
        models,
        mirror=mirror,
        seed=args.seed,
        wants_gpu=wants_gpu,
        # Of a cluster's GPUs only what was asked for is known before it is joined.
        has_gpu=True if resources.is_cluster and (is_auto or resources.gpus_per_trial) else None,
    )
    named = zip(product(datasets, models), sources, strict=True)
    grid = Grid(
        pairs=[Pair(dataset, model, source) for (dataset, model), source in named],
        asked=asked,
        methods=methods,
        spaces=spaces,
        fixed=fixed,
        with_baseline=partial(_with_baseline, results, args.confirm_seeds > 0),
    )
    if preset:
        return grid.preset_studies(preset), resources, results
    studies = grid.studies()
    if args.warm_start is not None:
        from analysis.winners import earlier_studies
        from tune_sentiment.prior import warm_started

        studies = warm_started(studies, results, partial(earlier_studies, args.warm_start, say))
    return studies, resources, results


def _spaces(
    args: argparse.Namespace, methods: list[str]
) -> "tuple[dict[str, SearchSpace], list[str]]":
    """Every method's space, the user's own in place of ours, and the methods that are searched.

    Raises:
        UsageError: If the user's file is wrong, or of a method that is not searched.
    """
    from search_spaces import SPACES

    if args.space is None:
        return SPACES, methods
    from tune_sentiment.own_space import load_space

    own = load_space(user_path(args.space))
    if methods and own.method not in methods:
        raise UsageError(f"--space {args.space} is {own.method}'s, --method names {args.method}")
    return {**SPACES, own.method: own}, methods or [own.method]


def _preset(args: argparse.Namespace) -> "Preset | None":
    """The preset that was asked for, if one was.

    Raises:
        UsageError: If it is unknown, if what it decides itself is chosen, too, or if neither a
            preset nor a method and a dataset are named.
    """
    if args.preset is None:
        if (args.method is None and args.space is None) or args.dataset is None:
            raise UsageError("--method and --dataset are needed, or --preset (see --help)")
        return None
    from search_spaces.presets import PRESETS

    if args.preset not in PRESETS:
        raise unknown("preset", args.preset, PRESETS, plural="Presets")
    preset = PRESETS[args.preset]
    usual = build_parser().parse_args([])
    for name in DECIDED:
        if getattr(args, name) != getattr(usual, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} cannot be chosen: --preset {args.preset} decides it")
    return preset


def _with_baseline(results: Path, is_scored: bool) -> set[str]:
    """Comparisons whose baseline has a winner in its ledger, and a test score where one is due."""
    from analysis.load import load_studies

    return {
        str(loaded.description["comparison"])
        for loaded in load_studies([results], method=BASELINE)
        if loaded.winner is not None and (loaded.test_scores or not is_scored)
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    set_environment()
    args = build_parser().parse_args(argv)
    if args.address == LOCAL:
        stay_on_this_machine()
    else:
        join_soon()
    try:
        if args.preset == "list":
            from search_spaces.presets import PRESETS
            from tune_sentiment.preset import listing

            print(listing(PRESETS))
            return 0
        trackers = chosen_trackers(args.track)
        project = label("--track-project", args.track_project)
        studies, resources, results = plan(args)
        from tune_sentiment.command import search
        from tune_sentiment.dry_run import describe

        if args.dry_run:
            print(describe(studies, resources, results, args.price_per_hour))
            return 0
        folders = [results / study.id for study in studies]
        with following(trackers, project, folders):
            failures = search(studies, resources, results, args.price_per_hour)
            code = show(args, studies, results, failures)
        if args.dashboard:
            from tune_sentiment.dashboard import export

            kept = [folder for folder in folders if folder.name not in failures]
            print(export(kept, results))
        return code
    except TuneSentimentError as error:
        return ended_by(error)
    except KeyboardInterrupt:
        print("interrupted. Everything that ended is kept; go on with:", file=sys.stderr)
        print(f"  {this_command(argv)}", file=sys.stderr)
        return exit_code()


def show(
    args: argparse.Namespace,
    studies: "Sequence[Study]",
    results: Path,
    failures: Failures | None = None,
) -> int:
    """Print each comparison and what to do next; write them into their winners' cards."""
    from analysis.load import by_comparison, load_studies
    from analysis.report import beside_each_other, markdown
    from analysis.settings import hyperparameters, replay
    from tune_sentiment.card import write_card

    gaps: list[str] = []
    found = by_comparison(load_studies([results], gaps))
    for gap in gaps:
        print(f"warning: {gap}", file=sys.stderr)
    asked = dict.fromkeys(study.comparison for study in studies)
    groups = {name: found[name] for name in asked if name in found}
    for loaded in groups.values():
        table = markdown(loaded)
        print(f"\n{table}\n")
        for side in loaded:
            if link_out(side.path, results) is not None:  # read, and left as it is
                continue
            with lock_if_free(side.path) as is_held:
                if not is_held:  # who runs it writes them at its end
                    continue
                StudyFolder(side.path).write_comparison(table)
                if side.winner is not None:
                    command = replay(side, hyperparameters(side, side.winner), is_public=True)
                    write_card(side.path, table, command)
    loaded = [side for group in groups.values() for side in group]
    if len(groups) > 1:
        print(f"{beside_each_other(loaded)}\n")
    winners = {s.description["id"] for s in loaded if s.winner is not None}
    without = [study.id for study in studies if study.id not in winners]
    failures = failures or Failures(say)
    failed = list(dict.fromkeys([*failures.errors, *without]))
    for name in failed:
        print(f"error: {failures.told(name)}", file=sys.stderr)
    where = address_of(results)
    print(f"Results: {where} · all tables: {python_command()} -m analysis {args.results}")
    compared = [{side.method for side in group} for group in groups.values()]
    print(f"Next: {next_step(args, compared)}")
    return 1 if failed else 0


if __name__ == "__main__":
    listen()
    sys.exit(main())
