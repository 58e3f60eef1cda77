"""Stored studies as others may begin with them: whose winner is known, and what it is."""

from collections.abc import Callable

from analysis.load import LoadedStudy, load_search, load_studies
from tune_sentiment.errors import UsageError
from tune_sentiment.paths import is_folder
from tune_sentiment.places import results_folder
from tune_sentiment.prior import EarlierStudy, sample_of


def earlier_studies(written: str, say: Callable[[str], None]) -> list[EarlierStudy]:
    """Every study that can be read in a results folder, or in an object store.

    Args:
        written: The folder or URI, as ``--warm-start`` names it.
        say: Is told, in a line, what cannot be read.

    Raises:
        UsageError: If there is no such folder.
        StorageError: If the store does not answer.
    """
    folder = results_folder(written)
    if not is_folder(folder):
        raise UsageError(f"--warm-start {written}: there is no such folder")
    gaps: list[str] = []
    found = [_earlier(study) for study in load_studies([folder], gaps, load=load_search)]
    if gaps:
        count = f"{len(gaps)} things" if len(gaps) > 1 else "one thing"
        say(f"warning: --warm-start {written}: {count} cannot be read, first {gaps[0]}")
    return found


def _earlier(study: LoadedStudy) -> EarlierStudy:
    about = study.description
    ended = [str(trial["ended_at"]) for trial in study.trials if trial["ended_at"]]
    return EarlierStudy(
        study=study.path.name,
        dataset=str(about["dataset"]),
        model=str(about["model"]),
        method=study.method,
        sample=sample_of(about["comparison_of"]),
        ended_at=max(ended, default=""),
        winner=study.winner if has_ended(study) else None,
    )


def has_ended(study: LoadedStudy) -> bool:
    """Whether a study's search is over: its winner was chosen, or its trials have all ended."""
    about = study.description
    asked = about.get("num_trials", about.get("trials_asked"))  # older ones lack the first
    if study.selection is not None or about.get("is_exhausted"):
        return True
    if not study.searched:  # all pinned: one trial
        return bool(study.trials)
    return isinstance(asked, int) and len(study.trials) >= asked
