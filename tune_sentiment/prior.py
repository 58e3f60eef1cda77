"""Start points from earlier searches: hyperparameters of winners on other data or other models.

Decides whose winners are taken, how many, and what they become in another space. A study keeps the
points that it began with: the same command goes on with them, whatever is stored by then.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_sentiment.domains import nearest
from tune_sentiment.durable import read_json
from tune_sentiment.errors import UsageError
from tune_sentiment.ledger import study_folders
from tune_sentiment.sources import collected

if TYPE_CHECKING:
    from tune_sentiment.study import Study

MOST = 3  # what a fourth winner knows, the others mostly know, too
TRIALS_EACH = 10  # so that winners of data unlike these cost a tenth of the trials at most
SAMPLE = ("data", "split", "train_samples", "model")  # of what a comparison shares
ABOUT = ("study", "dataset", "model")  # what is kept of where a point comes from


@dataclass(frozen=True, kw_only=True)
class EarlierStudy:
    """What is known of a stored study whose winner another one may begin with.

    Args:
        study: Its name.
        dataset: What it was searched on.
        model: The backbone.
        method: A name in METHODS.
        sample: From ``sample_of``.
        ended_at: When its last trial ended.
        winner: The winner's record; ``None`` if its search has not ended, or without one.
    """

    study: str
    dataset: str
    model: str
    method: str
    sample: Mapping[str, Any]
    ended_at: str
    winner: Mapping[str, Any] | None


def sample_of(comparison_of: Mapping[str, Any]) -> dict[str, Any]:
    """The texts and the model of a search, whatever it measured and however long its texts."""
    return {name: comparison_of.get(name) for name in SAMPLE}


def warm_started(
    studies: "Sequence[Study]", results: Path, read: Callable[[], Sequence[EarlierStudy]]
) -> "list[Study]":
    """The studies of a command, those that asked for it with earlier winners to try first.

    Args:
        studies: As they would begin without.
        results: Where their own ledgers are: one that was begun keeps the points it began with.
        read: Reads the earlier studies; called once, and only if a study has not begun.

    Raises:
        UsageError: If there is nothing to begin a study with; all such studies are named.
    """
    asked = [study for study in studies if study.config.warm_start is not None]
    kept = {study.id: begun(study, results) for study in asked}
    earlier = read() if None in kept.values() else []

    def warm(study: "Study") -> "Study":
        return kept[study.id] or begin(study, earlier) if study.id in kept else study

    return collected(warm, studies)


def begun(study: "Study", results: Path) -> "Study | None":
    """The study with the points that it began with, if the same command has begun it before.

    Whether it is the same is told by its identity, which holds its points.
    """
    for folder in study_folders([results]):
        try:
            about = read_json(folder / "study.json")
            if about["asked"].get("warm_start") != study.config.warm_start:
                continue
            kept = [{name: str(each[name]) for name in ABOUT} for each in about["prior_from"]]
            points = about["space"]["prior"]
            found = _with_points(study, points, kept)
            if len(points) == len(kept) and found.id == folder.name:
                return found
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # not ours, older than such points, or damaged: its own reader says so
    return None


def begin(study: "Study", earlier: Sequence[EarlierStudy]) -> "Study":
    """The study with the winners of the nearest earlier ones to try first.

    Of the same texts and the same model nobody's: those trials would be part of its search, and not
    of its budget.

    Raises:
        UsageError: If there is nothing to begin with.
    """
    if study.space.is_listed or not study.space.params:
        what = "is a list" if study.space.is_listed else "is pinned whole"
        raise UsageError(f"--warm-start: {_name(study)} searches nothing, its space {what}")
    points: list[dict[str, Any]] = []
    kept: list[dict[str, str]] = []
    for each in _nearest_first(study, earlier):
        point = _translated(study, each.winner or {})
        if point is not None and point not in points and len(points) < limit(study):
            points.append(point)
            kept.append({name: str(getattr(each, name)) for name in ABOUT})
    if not points:
        asked = study.config.warm_start
        raise UsageError(f"--warm-start {asked}: {_name(study)}: {_why_none(study, earlier)}")
    return _with_points(study, points, kept)


def limit(study: "Study") -> int:
    """The most points that a study takes: so few that useless ones cost little."""
    return max(1, min(MOST, study.num_trials // TRIALS_EACH))


def _nearest_first(study: "Study", earlier: Sequence[EarlierStudy]) -> list[EarlierStudy]:
    """Earlier studies that may be learnt from: the same data first, then the same model.

    Of equally near ones the latest first.
    """
    source = study.source

    def distance(each: EarlierStudy) -> tuple[bool, bool]:
        return each.dataset != source.dataset.name, each.model != source.backbone.name

    able = [each for each in _of_method(study, earlier) if each.winner is not None]
    own = sample_of(study.comparison_of())
    others = [each for each in able if each.sample != own]
    others.sort(key=lambda each: (each.ended_at, each.study), reverse=True)
    return sorted(others, key=distance)


def _of_method(study: "Study", earlier: Sequence[EarlierStudy]) -> list[EarlierStudy]:
    return [each for each in earlier if each.method == study.config.method]


def _translated(study: "Study", winner: Mapping[str, Any]) -> dict[str, Any] | None:
    """A winner's configuration in the study's space; ``None`` if nothing of it has a place there.

    What is out of a range becomes its end. What has no place, and what the winner does not name,
    is as in the space's first start point; pinned values stay pinned.
    """
    domains = study.space.distributions()
    found = {name: nearest(domain, winner.get(name)) for name, domain in domains.items()}
    known = {name: value for name, value in found.items() if value is not None}
    point = {**study.space.example(), **known}
    try:
        study.own_hyperparameters(point)
    except UsageError:
        return None
    return point if known else None


def _with_points(
    study: "Study", points: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, str]]
) -> "Study":
    space = replace(study.space, prior=[dict(point) for point in points])
    return replace(study, space=space, prior_from=kept)


def _why_none(study: "Study", earlier: Sequence[EarlierStudy]) -> str:
    """What was found instead of something to begin with."""
    method = study.config.method
    of_method = _of_method(study, earlier)
    if not earlier:
        return "no study is stored there"
    if not of_method:
        counted = sorted(Counter(each.method for each in earlier).items())
        found = ", ".join(f"{name} {count}" for name, count in counted)
        return f"no study of {method} is stored there, only: {found}"
    own = sample_of(study.comparison_of())
    same = sum(each.sample == own for each in of_method)
    open_ones = sum(each.winner is None and each.sample != own for each in of_method)
    rest = len(of_method) - same - open_ones
    reasons = [
        (
            same,
            "on the same data with the same model, where a winner would be no start but a result",
        ),
        (open_ones, "without a winner, or still under way"),
        (rest, "whose winner has nothing in this space"),
    ]
    found = "; ".join(f"{count} {reason}" for count, reason in reasons if count)
    return f"none of the {len(of_method)} stored studies of {method} can be begun with: {found}"


def _name(study: "Study") -> str:
    source = study.source
    return f"{study.config.method} on {source.dataset.name} with {source.backbone.name}"
