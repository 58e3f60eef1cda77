"""DATASETS: every dataset that goes by a name, and what a path or a hub id stands for."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tune_sentiment.columns import Columns
from tune_sentiment.errors import UsageError, unknown
from tune_sentiment.labels import as_integer, label_values
from tune_sentiment.paths import exists, user_path
from tune_sentiment.reader import FORMATS, read_rows
from tune_sentiment.split_rules import (
    AS_GIVEN,
    ONE_FILE,
    VALIDATION_FROM_TRAIN,
    WHOLE_SENTENCES,
    SplitRule,
)
from tune_sentiment.splits import SPLITS


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset: where it is, what its labels mean, how it is cut.

    Args:
        name: What it is called in study names, and the mirror's folder.
        classes: Names of the classes, in their order.
        values: The labels as the source writes them, in the classes' order.
        hub_id: Full id on the hub.
        packaged: File in ``tune_sentiment/corpora`` with a ``split`` column.
        path: A file, or a folder with a file for each split.
        columns: Which columns hold texts and labels.
        split: How files become train, validation and test.
    """

    name: str
    classes: tuple[str, ...]
    values: tuple[Any, ...] = field(default=())
    hub_id: str | None = None
    packaged: str | None = None
    path: Path | None = None
    columns: Columns = field(default_factory=lambda: Columns(text="text", label="label"))
    split: SplitRule = AS_GIVEN

    def class_of(self, label: Any) -> int | None:
        """The class of a label as the source writes it; ``None`` for an unknown one."""
        as_written = as_integer(label) if isinstance(self.written[0], int) else label
        return self.written.index(as_written) if as_written in self.written else None

    @property
    def written(self) -> tuple[Any, ...]:
        """The labels as the source writes them: 0, 1, … if it says nothing else."""
        return self.values or tuple(range(len(self.classes)))


POLARITY = ("negative", "positive")
DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="rotten_tomatoes",
            classes=POLARITY,
            hub_id="cornell-movie-review-data/rotten_tomatoes",
        ),
        DatasetSpec(
            name="sst2",
            classes=POLARITY,
            hub_id="stanfordnlp/sst2",
            columns=Columns(text="sentence", label="label"),
            split=WHOLE_SENTENCES,
        ),
        DatasetSpec(
            name="imdb", classes=POLARITY, hub_id="stanfordnlp/imdb", split=VALIDATION_FROM_TRAIN
        ),
        DatasetSpec(
            name="ag_news",
            classes=("World", "Sports", "Business", "Sci/Tech"),
            hub_id="fancyzhx/ag_news",
            split=VALIDATION_FROM_TRAIN,
        ),
        DatasetSpec(name="demo", classes=POLARITY, packaged="reviews.tsv"),
    )
}


def dataset_named(name: str, columns: Columns | None = None) -> DatasetSpec:
    """The dataset behind a name in DATASETS, a file, a folder of splits, or a hub id.

    Args:
        name: What the user wrote.
        columns: For files and hub ids: which columns hold what; found if not given.

    Raises:
        UsageError: If it is none of these, or a file cannot be read.
        StartError: If the hub is needed and cannot be reached.
    """
    columns = columns or Columns()
    is_named = name in DATASETS
    if is_named and columns != Columns():
        raise UsageError(f"the columns and encoding of '{name}' are known; leave the options out")
    if is_named:
        return DATASETS[name]
    path = user_path(name)
    if name and (path.suffix.lower() in FORMATS or exists(path)):
        return _from_path(path.absolute(), columns)
    if name.count("/") == 1 and all(name.split("/")) and name[0] not in "./~":
        from tune_sentiment.hub import describe_dataset

        found = describe_dataset(name, columns)
        rule = AS_GIVEN if "validation" in found.splits else VALIDATION_FROM_TRAIN
        for needed in ("train", "test"):
            if needed not in found.splits:
                raise UsageError(f"{name}: no split '{needed}'. Splits: {', '.join(found.splits)}")
        return DatasetSpec(
            name=name,
            classes=found.classes,
            values=found.values,
            hub_id=name,
            columns=found.columns,
            split=rule,
        )
    error = unknown("dataset", name, DATASETS, plural="Datasets")
    raise UsageError(f"{error}, a hub id (owner/name), a file or a folder")


def _from_path(path: Path, columns: Columns) -> DatasetSpec:
    if path.is_dir():
        for split in SPLITS:
            split_file(path, split)
        spec = DatasetSpec(name=path.name, classes=(), path=path, columns=columns)
        labels = read_rows(split_file(path, "train"), columns)
    else:
        labels = read_rows(path, columns)
        spec = DatasetSpec(name=path.stem, classes=(), path=path, columns=columns, split=ONE_FILE)
    values = label_values(labels.labels, path)
    return replace(spec, classes=tuple(str(value) for value in values), values=values)


def split_file(folder: Path, split: str) -> Path:
    """The file of a split in a folder.

    Raises:
        UsageError: If there is none, or more than one.
    """
    found = [folder / f"{split}{suffix}" for suffix in FORMATS]
    found = [path for path in found if path.exists()]
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise UsageError(f"{folder}: {count} {split} file ({split}{{{','.join(FORMATS)}}})")
    return found[0]
