"""Reading datasets: from the package, people's files, a local mirror, or the hub.

A search sees training and validation texts only. ``load_test`` is for the confirmation, after the
winner is chosen; ``describe_splits`` tells everyone else what may be known of all three splits.
"""

import csv
import os
from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np

from tune_sentiment.datasets_table import DatasetSpec, split_file
from tune_sentiment.errors import UsageError
from tune_sentiment.paths import is_folder, user_path
from tune_sentiment.reader import Rows, read_rows
from tune_sentiment.splits import (
    SPLITS,
    Split,
    SplitSummary,
    check_unchanged,
    stratified_subset,
    summarise,
)

MIRROR_VARIABLE = "TUNE_SENTIMENT_DATA"


def mirror_folder(data_dir: str | None) -> Path | None:
    """The local mirror that was named on the command line or in the environment, made absolute.

    Raises:
        UsageError: If it is not a folder.
    """
    named = data_dir or os.environ.get(MIRROR_VARIABLE)
    if not named:
        return None
    folder = user_path(named).absolute()
    if not is_folder(folder):
        raise UsageError(f"the data folder '{named}' is not a folder")
    return folder


def load_train_val(
    spec: DatasetSpec,
    *,
    mirror: Path | None,
    train_samples: int | None,
    seed: int,
    planned: Mapping[str, SplitSummary] | None = None,
) -> tuple[Split, Split]:
    """The training texts (or a stratified subset of them) and the validation texts.

    Raises:
        StartError: If they are not those that were planned with.
    """
    train, validation = (_cut(spec, name, mirror, seed) for name in ("train", "validation"))
    if planned is not None:
        check_unchanged(train, planned["train"], "train")
        check_unchanged(validation, planned["validation"], "validation")
    return stratified_subset(train, train_samples, seed), validation


def load_test(spec: DatasetSpec, *, mirror: Path | None, seed: int) -> Split:
    """The test texts with their labels. For the confirmation of a chosen winner, nothing else."""
    return _cut(spec, "test", mirror, seed)


def describe_splits(
    spec: DatasetSpec, *, mirror: Path | None, seed: int
) -> dict[str, SplitSummary]:
    """Counts, lengths and hashes of every split, and what of train stands in the others.

    Raises:
        UsageError: If a class of train is missing from another split.
    """
    made: dict[str, SplitSummary] = {}
    train = _cut(spec, "train", mirror, seed)
    for name in SPLITS:
        split = train if name == "train" else _cut(spec, name, mirror, seed)
        made[name] = summarise(split, len(spec.classes), None if name == "train" else train)
        for index, count in enumerate(made[name].class_counts):
            if count == 0:
                raise UsageError(f"{spec.name}: no text of '{spec.classes[index]}' in {name}")
    return made


def data_fingerprint(summaries: Mapping[str, SplitSummary]) -> str:
    """One name for the contents of all splits."""
    return "-".join(summaries[name].fingerprint for name in SPLITS)


def _cut(spec: DatasetSpec, wanted: str, mirror: Path | None, seed: int) -> Split:
    return spec.split.cut(partial(_read, spec, mirror), wanted, seed)


def _read(spec: DatasetSpec, mirror: Path | None, part: str) -> Split:
    """One file of the source: ``train``, ``validation``, ``test``, or ``all``."""
    if spec.packaged is not None:
        return _classified(spec, _packaged(spec.packaged, part), spec.packaged)
    if spec.path is not None:
        path = spec.path if part == "all" else split_file(spec.path, part)
        return _classified(spec, read_rows(path, spec.columns), str(path))
    folder = None if mirror is None else mirror / spec.name
    if folder is not None and folder.is_dir():
        path = split_file(folder, part)
        return _classified(spec, read_rows(path, spec.columns), str(path))
    return _classified(spec, _hub(spec, part, mirror), f"{spec.hub_id} ({part})")


def _packaged(name: str, split: str) -> Rows:
    corpus = resources.files("tune_sentiment") / "corpora" / name
    with corpus.open(encoding="utf-8") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        chosen = [(n, row) for n, row in enumerate(rows, start=2) if row["split"] == split]
    texts, labels = [row["text"] for _, row in chosen], [row["label"] for _, row in chosen]
    return Rows(texts, labels, [line for line, _ in chosen])


def _hub(spec: DatasetSpec, part: str, mirror: Path | None) -> Rows:
    from tune_sentiment.hub import load_rows

    advice = (
        f"a folder with {spec.name}/train.parquet, validation.parquet and test.parquet can be "
        f"named by --data-dir or {MIRROR_VARIABLE}"
        + (f" (not found under {mirror})" if mirror else "")
        + "; --dataset demo needs no network"
    )
    assert spec.hub_id is not None
    return load_rows(spec.hub_id, part, spec.columns, advice)


def _classified(spec: DatasetSpec, rows: Rows, source: str) -> Split:
    labels = np.empty(len(rows.texts), dtype=np.int64)
    for row, (line, label) in enumerate(zip(rows.lines, rows.labels, strict=True)):
        found = spec.class_of(label)
        if found is None:
            known = ", ".join(map(str, spec.written))
            raise UsageError(f"{source} line {line}: unknown label {label!r}. Labels: {known}")
        labels[row] = found
    return Split(rows.texts, labels, dropped=rows.dropped)
