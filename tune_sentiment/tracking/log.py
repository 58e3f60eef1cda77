"""Logging a study's ledger to one tracker, each thing once, however often it is tried.

What was logged is noted in the study's folder after the tracker has it for good. A failure ends
nothing but the logging of what failed; it is tried again at the next pass.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tune_sentiment.durable import read_json, write_json
from tune_sentiment.errors import TuneSentimentError
from tune_sentiment.inside import check_links
from tune_sentiment.ledger import TRACKING, StudyFolder
from tune_sentiment.lock import held
from tune_sentiment.proposal import digest
from tune_sentiment.trackers import TRACKERS, Tracker
from tune_sentiment.tracking.view import TrainingView, study_view, trainings_of

MAX_FAILURES = 3  # in a row: then the tracker is not asked again in this pass
WHERE_LENGTH = 12
LONGEST_ERROR = 300  # characters


class Notes:
    """What a study has logged to one place: ``tracking/<tracker>.json``.

    The file holds, for the hash of each place (its name may hold a password), the hash of the
    comparison and, by key, the number of evaluations and the hash of the record.
    """

    def __init__(self, file: Path, where: str) -> None:
        self.file, self.place = file, digest({"where": where}, WHERE_LENGTH)
        self.all: dict[str, Any] = read_json(file) if file.exists() else {}
        self.here = self.all.setdefault(self.place, {"comparison": None, "trainings": {}})

    def of(self, key: str) -> tuple[int, str | None]:
        """Evaluations of a training that were logged, and the hash of the record that was."""
        noted = self.here["trainings"].get(key, {"evaluations": 0, "record": None})
        return noted["evaluations"], noted["record"]

    def note(self, key: str, evaluations: int, record: str | None) -> None:
        """Write down what was logged of a training."""
        self.here["trainings"][key] = {"evaluations": evaluations, "record": record}
        write_json(self.file, self.all)

    def note_comparison(self, comparison: str) -> None:
        """Write down which comparison was logged."""
        self.here["comparison"] = comparison
        write_json(self.file, self.all)


class Log:
    """One tracker and the studies that are logged to it.

    Args:
        name: In TRACKERS.
        project: What the tracker files them under.
        folders: The studies'; one that is not there yet is looked for at each pass.
        say: Told of every failure, once.
    """

    def __init__(
        self, name: str, project: str, folders: list[Path], say: Callable[[str], None]
    ) -> None:
        self.name, self.project, self.say = name, project, say
        self.studies = [StudyFolder(folder) for folder in folders]
        self.trackers: dict[Path, Tracker] = {}  # by the folder of their files
        self.seen: dict[Path, list[int]] = {}  # when each study's ledger was last written
        self.told: set[str] = set()

    def run(self, *, is_last: bool) -> bool:
        """One pass over every study; returns whether all that there is was logged.

        Args:
            is_last: Whether nothing more will come of what has not ended, for now.
        """
        results = [self._study(study, is_last) for study in self.studies]
        return all(results)

    def _study(self, study: StudyFolder, is_last: bool) -> bool:
        written = _written(study)
        if not study.study_file.exists() or (self.seen.get(study.path) == written and not is_last):
            return True
        try:
            check_links(study.path)
            check_links(study.path.parent / TRACKING)
            with held(study.tracking_file(self.name).with_suffix(".lock"), "it is being logged"):
                is_done = self._logged(study, is_last)
        except Exception as error:  # whatever a tracker raises is its own affair
            self._failed(study, "", error)
            return False
        if is_done:
            self.seen[study.path] = written
        return is_done

    def _logged(self, study: StudyFolder, is_last: bool) -> bool:
        view, failures, is_whole = study_view(study), 0, True
        tracker = self._tracker(study.path.parent / TRACKING)
        notes = Notes(study.tracking_file(self.name), tracker.where)
        for training in trainings_of(study, view):
            if not is_last:
                training = _so_far(training)
            evaluations, record = notes.of(training.key)
            ended = None if training.record is None else digest(training.record)
            waits = ended is None and not (tracker.is_live or is_last)
            if waits or (len(training.steps) <= evaluations and ended in (None, record)):
                continue
            try:
                tracker.log(training, evaluations)
                notes.note(training.key, len(training.steps), ended or record)
                failures = 0
            except Exception as error:  # as above
                self._failed(study, f" {training.name}", error)
                failures, is_whole = failures + 1, False
                if failures == MAX_FAILURES:
                    return False
        if view.table is not None and notes.here["comparison"] != digest(view.table):
            tracker.log_table(view)
            notes.note_comparison(digest(view.table))
        return is_whole

    def _tracker(self, folder: Path) -> Tracker:
        if folder not in self.trackers:
            self.trackers[folder] = TRACKERS[self.name].load()(folder, self.project)
        return self.trackers[folder]

    def _failed(self, study: StudyFolder, what: str, error: Exception) -> None:
        kind = "" if isinstance(error, TuneSentimentError) else f"{type(error).__name__}: "
        said = f"{kind}{' '.join(str(error).split())}"[:LONGEST_ERROR]
        if said not in self.told:
            self.told.add(said)
            self.say(f"{self.name}: {study.path.name}{what} was not logged: {said}")


def _so_far(training: TrainingView) -> TrainingView:
    """The training while its study runs: a confirmation run may still get its test scores."""
    if training.kind == "trial" or training.record is None:
        return training
    return TrainingView(training.study, training.training)


def _written(study: StudyFolder) -> list[int]:
    """When something was last written: every write renames a file, which its folder notes."""
    folders = [study.path, *(study.path / part for part in ("trials", "evaluations", "confirm"))]
    return [folder.stat().st_mtime_ns for folder in folders if folder.exists()]
