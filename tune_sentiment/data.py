"""DATASETS, and reading them: from the package, a local mirror, or the hub.

A search sees training and validation texts only. ``load_test`` is for the confirmation, after the
winner is chosen; ``describe_splits`` tells everyone else what may be known of all three splits.
"""

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tune_sentiment.errors import UsageError, unknown
from tune_sentiment.splits import SPLITS, Split, SplitSummary, stratified_subset, summarise

MIRROR_VARIABLE = "TUNE_SENTIMENT_DATA"


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset by name.

    Args:
        name: What ``--dataset`` takes, and the mirror's folder.
        classes: Names of the classes 0, 1, ….
        hub_id: Full id on the hub; ``None`` for a packaged dataset.
        packaged: File in ``tune_sentiment/corpora`` with a ``split`` column.
        text_column: Column with the texts.
        label_column: Column with the classes as integers from 0.
    """

    name: str
    classes: tuple[str, ...]
    hub_id: str | None = None
    packaged: str | None = None
    text_column: str = "text"
    label_column: str = "label"


DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="rotten_tomatoes",
            classes=("negative", "positive"),
            hub_id="cornell-movie-review-data/rotten_tomatoes",
        ),
        DatasetSpec(name="demo", classes=("negative", "positive"), packaged="reviews.tsv"),
    )
}


def dataset_named(name: str) -> DatasetSpec:
    """The row of DATASETS.

    Raises:
        UsageError: If there is none of this name.
    """
    if name not in DATASETS:
        raise unknown("dataset", name, DATASETS, plural="Datasets")
    return DATASETS[name]


def mirror_folder(data_dir: str | None) -> Path | None:
    """The local mirror that was named on the command line or in the environment, made absolute.

    Raises:
        UsageError: If it is not a folder.
    """
    named = data_dir or os.environ.get(MIRROR_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        raise UsageError(f"the data folder '{named}' is not a folder")
    return folder


def load_train_val(
    spec: DatasetSpec, *, mirror: Path | None, train_samples: int | None, seed: int
) -> tuple[Split, Split]:
    """The training texts (or a stratified subset of them) and the validation texts."""
    train = stratified_subset(_load(spec, "train", mirror), train_samples, seed)
    return train, _load(spec, "validation", mirror)


def load_test(spec: DatasetSpec, *, mirror: Path | None) -> Split:
    """The test texts with their labels. For the confirmation of a chosen winner, nothing else."""
    return _load(spec, "test", mirror)


def describe_splits(spec: DatasetSpec, *, mirror: Path | None) -> dict[str, SplitSummary]:
    """Counts, lengths and hashes of every split, without texts or labels."""
    return {name: summarise(_load(spec, name, mirror), len(spec.classes)) for name in SPLITS}


def data_fingerprint(summaries: Mapping[str, SplitSummary]) -> str:
    """One name for the contents of all splits."""
    return "-".join(summaries[name].fingerprint for name in SPLITS)


def _load(spec: DatasetSpec, split: str, mirror: Path | None) -> Split:
    if spec.packaged is not None:
        rows = _packaged_rows(spec.packaged, split)
        source = spec.packaged
    elif mirror is not None and (path := mirror / spec.name / f"{split}.parquet").is_file():
        rows, source = _parquet_columns(path, spec), str(path)
    else:
        rows, source = _hub_columns(spec, split, mirror), f"{spec.hub_id} ({split})"
    return _checked(rows[0], rows[1], spec, source)


def _packaged_rows(name: str, split: str) -> tuple[list[str], list[Any]]:
    corpus = resources.files("tune_sentiment") / "corpora" / name
    with corpus.open(encoding="utf-8") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        chosen = [(row["text"], int(row["label"])) for row in rows if row["split"] == split]
    return [text for text, _ in chosen], [label for _, label in chosen]


def _parquet_columns(path: Path, spec: DatasetSpec) -> tuple[list[str], list[Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path}: not a readable parquet file ({error})") from error
    for column in (spec.text_column, spec.label_column):
        if column not in table.column_names:
            found = ", ".join(table.column_names)
            raise UsageError(f"{path}: no column '{column}'. Columns: {found}")
    return table[spec.text_column].to_pylist(), table[spec.label_column].to_pylist()


def _hub_columns(spec: DatasetSpec, split: str, mirror: Path | None) -> tuple[list[str], list[Any]]:
    from tune_sentiment.hub import needs_hub

    assert spec.hub_id is not None
    advice = (
        f"a folder with {spec.name}/train.parquet, validation.parquet and test.parquet can be "
        f"named by --data-dir or {MIRROR_VARIABLE}"
        + (f" (not found under {mirror})" if mirror else "")
        + "; --dataset demo needs no network"
    )
    with needs_hub(f"dataset {spec.hub_id}", advice):
        import datasets

        datasets.disable_progress_bars()
        table = datasets.load_dataset(spec.hub_id, split=split)
        return list(table[spec.text_column]), list(table[spec.label_column])


def _checked(texts: list[Any], labels: list[Any], spec: DatasetSpec, source: str) -> Split:
    if not texts:
        raise UsageError(f"{source}: no rows")
    for row, (text, label) in enumerate(zip(texts, labels, strict=True), start=1):
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"{source} row {row}: the text is {text!r}")
        if isinstance(label, bool) or not isinstance(label, int):
            raise UsageError(f"{source} row {row}: the label is {label!r}, not an integer")
        if not 0 <= label < len(spec.classes):
            meaning = " (-1 means unlabelled)" if label == -1 else ""
            raise UsageError(
                f"{source} row {row}: 0 <= label < {len(spec.classes)} must hold, got "
                f"{label}{meaning}"
            )
    if len(set(labels)) < 2:
        raise UsageError(f"{source}: every label is {labels[0]}; a classifier needs two classes")
    return Split(list(texts), np.asarray(labels, dtype=np.int64))
