"""``python -m tune_sentiment.dashboard RESULTS…``: studies as an Optuna journal, for its dashboard.

The journal is written whole from the ledgers each time, and nothing is ever read back from it.
"""

import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_sentiment.durable import read_json, writing
from tune_sentiment.environment import set_environment
from tune_sentiment.errors import TuneSentimentError, UsageError, ended_by
from tune_sentiment.inside import check_links, check_reached
from tune_sentiment.ledger import TRACKING, StudyFolder, study_folders
from tune_sentiment.options import Parser
from tune_sentiment.places import results_folder

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial

JOURNAL = "optuna-journal.log"
PACKAGE = "optuna_dashboard"
ABOUT = ("method", "dataset", "model", "comparison")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    set_environment()
    parser = Parser(prog="python -m tune_sentiment.dashboard", description=__doc__)
    parser.add_argument("studies", nargs="+", help="studies' folders, or results folders")
    args = parser.parse_args(argv)
    try:
        roots = [results_folder(written).absolute() for written in args.studies]
        folders = study_folders(roots)
        if not folders:
            raise UsageError(f"no study under {' '.join(args.studies)}")
        check_reached(folders, roots)
        print(export(folders, folders[0].parent))
    except TuneSentimentError as error:
        return ended_by(error)
    return 0


def export(folders: Sequence[Path], results: Path) -> str:
    """Write the studies' journal; returns the line that says how to open it.

    Args:
        folders: The studies'; those without a ``study.json`` are passed over.
        results: Gets ``tracking/optuna-journal.log``.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    check_links(results / TRACKING)
    journal = results / TRACKING / JOURNAL
    with writing(journal) as unfinished:
        unfinished.write_bytes(b"")
        storage = JournalStorage(JournalFileBackend(str(unfinished)))
        for folder in folders:
            if (folder / "study.json").exists():
                _add_study(storage, StudyFolder(folder))
    missing = "" if find_spec(PACKAGE) else " (pip install 'tune_sentiment[dashboard]' first)"
    return f"Dashboard: optuna-dashboard {shlex.quote(str(journal))} --host 127.0.0.1{missing}"


def _add_study(storage: "JournalStorage", folder: StudyFolder) -> None:
    import optuna
    from optuna.distributions import json_to_distribution
    from optuna.exceptions import ExperimentalWarning

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    about = read_json(folder.study_file)
    study = optuna.create_study(
        storage=storage,
        study_name=about["id"],
        direction="maximize" if about["mode"] == "max" else "minimize",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([about["metric"]])
    for name in ABOUT:
        study.set_user_attr(name, about[name])
    stored = about["space"]["distributions"].items()
    distributions = {name: json_to_distribution(text) for name, text in stored}
    objectives = {trial.proposal.key: trial.objectives for trial in folder.history()}
    runs = folder.confirmations()
    for record in folder.trials():
        of_trial = [run for run in runs if run["key"].partition("-")[0] == record["key"]]
        values = dict(enumerate(objectives.get(record["key"], ()), start=1))
        study.add_trial(_trial(record, values, of_trial, distributions))


def _trial(
    record: Mapping[str, Any],
    values: dict[int, float],
    runs: Sequence[Mapping[str, Any]],
    distributions: "Mapping[str, BaseDistribution]",
) -> "FrozenTrial":
    """An ended trial with all that its record says, and the test scores of its fresh seeds."""
    from optuna.trial import TrialState, create_trial

    from tune_sentiment.told import learnt

    state, kept = learnt(record["status"], values)
    scores = sorted({name for run in runs for name in run if name.startswith("test_")})
    found = {name: [run[name] for run in runs if run[name] is not None] for name in scores}
    fields = {name: value for name, value in record.items() if name not in distributions}
    attributes = {"status": record["status"], **found, **fields}
    if state is TrialState.COMPLETE and not kept:  # its evaluations were lost
        state = TrialState.FAIL
    made = create_trial(
        state=state,
        value=kept[max(kept)] if kept and state is not TrialState.FAIL else None,
        params={name: record[name] for name in distributions},
        distributions=dict(distributions),
        intermediate_values=kept,
        user_attrs={n: v for n, v in attributes.items() if v is not None and v != []},
    )
    made.datetime_start = _local(record["started_at"])
    made.datetime_complete = _local(record["ended_at"])
    return made


def _local(written: str) -> datetime:
    """A record's time as Optuna writes it: of this place, and without saying so."""
    return datetime.fromisoformat(written).astimezone().replace(tzinfo=None)


if __name__ == "__main__":
    sys.exit(main())
