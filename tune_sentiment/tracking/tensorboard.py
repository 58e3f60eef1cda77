"""TensorBoard: a folder of events for each training, with its hyperparameters."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tune_sentiment.durable import flush_folder
from tune_sentiment.tracking.view import RECORD, StudyView, TrainingView

BEGUN, ENDED = "_hparams_/session_start_info", "_hparams_/session_end_info"
TABLE = "comparison"


class TensorboardTracker:
    """Writes event files.

    What a folder has is read back before more is written, so nothing is logged twice even where
    the ledger's notes are behind.

    Args:
        folder: Gets ``tensorboard/<study>/<training>/``.
        project: Not used: there is nothing to file it under.
    """

    is_live = True

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder / "tensorboard"
        self.where = str(self.folder)

    def log(self, training: TrainingView, known: int) -> None:
        """Write what is new."""
        from tensorboardX.summary import hparams

        name = f"{training.name}-{training.key.partition('-')[0]}".replace(" ", "-")
        folder = self.folder / training.study.name / name
        there = Written(folder)
        config = {name: value for name, value in training.config.items() if value is not None}
        with _writer(folder) as writer:
            # The first of the three would fix one set of hyperparameters for all studies.
            _, begun, ended = hparams(config, {})
            if not there.has(BEGUN):
                writer.file_writer.add_summary(begun)
            for step, values in enumerate(training.steps, start=1):
                time = training.time_of(step).timestamp()
                for name, value in values.items():
                    if not there.has_value(name, step, value):
                        writer.add_scalar(name, value, step, walltime=time)
            if training.record is not None:
                numbers, words = training.end
                last = len(training.steps)
                for name, value in numbers.items():
                    if not there.has_value(RECORD + name, last, value):
                        writer.add_scalar(RECORD + name, value, last)
                if not there.has(ENDED):
                    writer.add_text(RECORD + "words", _as_table(words.items()), last)
                    writer.file_writer.add_summary(ended)
        flush_folder(folder)

    def log_table(self, study: StudyView) -> None:
        """Write the comparison as text; one that is printed later is its next step."""
        folder = self.folder / study.name / "study"
        texts = Written(folder).texts(TABLE)
        if not texts or texts[-1] != study.table:
            with _writer(folder) as writer:
                writer.add_text(TABLE, study.table, len(texts))
            flush_folder(folder)


class Written:
    """What a folder's event files hold."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        self.events: Any = None
        self.scalars: dict[tuple[str, int], set[np.float32]] = {}
        if not folder.is_dir():
            return
        self.events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        self.events.Reload()
        for tag in self.events.Tags()["scalars"]:
            for event in self.events.Scalars(tag):
                self.scalars.setdefault((tag, event.step), set()).add(np.float32(event.value))

    def has(self, tag: str) -> bool:
        """Whether there is something under a tag."""
        return self.events is not None and tag in self.events.summary_metadata

    def texts(self, tag: str) -> list[str]:
        """The texts under a tag, in order."""
        stored = f"{tag}/text_summary"
        if not self.has(stored):
            return []
        events = self.events.Tensors(stored)
        return [event.tensor_proto.string_val[0].decode() for event in events]

    def has_value(self, tag: str, step: int, value: float) -> bool:
        """Whether a scalar has this value at a step."""
        return np.float32(value) in self.scalars.get((tag, step), ())


def _writer(folder: Path) -> Any:
    """A writer of one more file of a folder; files of one second differ by their number."""
    from tensorboardX import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("events.*")))
    return SummaryWriter(str(folder), filename_suffix=f".{number:04d}")


def _as_table(pairs: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {name} | {value} |" for name, value in pairs]
    return "\n".join(["| field | value |", "|---|---|", *lines])
