"""Reaching the model and data hub: what is cached needs no network; no network is said quickly.

Whether the hub can be reached is tried once, briefly, before anything is asked of it; once it has
stopped to answer, nothing more is asked in this process.
"""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from logging import CRITICAL, getLogger
from pathlib import Path
from typing import Any

from tune_sentiment.columns import Columns, find_columns
from tune_sentiment.downloads import as_announced
from tune_sentiment.errors import StartError
from tune_sentiment.labels import label_values
from tune_sentiment.patience import Patience, limited, probe
from tune_sentiment.reader import Rows, checked_rows

MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
DATA_ADVICE = "a file or a folder of files as --dataset"
PATIENCE = Patience()
LOG_IN = "log in with hf auth login or HF_TOKEN"
NOT_THERE = f"it is not there, or not for everybody: check the name, or {LOG_IN}"
ASK_FOR_IT = f"it is not for everybody: ask for access on its page, and {LOG_IN}"
REFUSALS = {401: NOT_THERE, 403: ASK_FOR_IT, 404: "it is not there: check the name"}


@cache
def _reason() -> str | None:
    return probe()


def unreachable() -> str | None:
    """Why nothing is asked of the hub; ``None`` while it answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if PATIENCE.ended is not None:
        return f"{constants.ENDPOINT} {PATIENCE.ended}"
    reason = _reason()
    return None if reason is None else f"{constants.ENDPOINT} cannot be reached ({reason})"


def go_offline() -> None:
    """Ask the hub nothing more, here and in processes that are started later."""
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True


@contextmanager
def needs_hub(kind: str, hub_id: str, advice: str) -> Generator[None, None, None]:
    """Turn a failure to load a ``model`` or ``dataset`` from cache or hub into one line.

    Raises:
        StartError: If the body fails. The hub is not asked when it cannot be reached.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    with limited(PATIENCE):
        gone = unreachable()
        constants.HF_HUB_OFFLINE = gone is not None
        if kind == "dataset":
            _prepare_datasets()
        try:
            with as_announced(kind, hub_id):
                yield
        except Exception as error:  # the libraries behind this raise dozens of classes
            constants.HF_HUB_OFFLINE = before
            gone = gone or (PATIENCE.ended and unreachable())
            state = f"{gone}, and it is not cached" if gone else _state(error)
            raise StartError(
                f"cannot load {kind} {hub_id}: {state}. Without the hub: {advice}"
            ) from error
        finally:
            constants.HF_HUB_OFFLINE = before


def _state(error: Exception) -> str:
    """What went wrong, of all that the libraries say."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) and inner not in chain:
        chain.append(inner)
    for cause in chain:
        if isinstance(cause, StartError):
            return str(cause)
    for cause in reversed(chain):
        name = type(cause).__name__
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if "EntryNotFound" in name:  # files that may be there, or not
            continue
        if status is not None and (status in REFUSALS or status >= 500):
            return f"{REFUSALS.get(status, 'the hub has errors: try again later')} ({status})"
        if name == "DatasetNotFoundError":
            return ASK_FOR_IT if "gated" in str(cause) else NOT_THERE
        if name.endswith("Timeout"):
            return "the hub does not answer, and it is not cached: try again later"
        if name in ("RemoteProtocolError", "ReadError"):
            return "the hub stops in the middle of a file: try again later"
    first = next(iter(str(error).strip().splitlines()), "no reason given")
    return f"{type(error).__name__}: {first.rstrip('.')}"


def _prepare_datasets() -> None:
    """Tell the library whether the hub is there, and let it write nothing."""
    import datasets.config
    from huggingface_hub import constants

    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE
    datasets.disable_progress_bars()
    getLogger("datasets").setLevel(CRITICAL)


def model_folder(hub_id: str, advice: str) -> Path:
    """The local folder of a hub model: config, tokenizer and safetensors, nothing else.

    Raises:
        StartError: If it is neither cached nor to be had.
    """
    from huggingface_hub import snapshot_download

    with needs_hub("model", hub_id, advice):
        return Path(snapshot_download(hub_id, allow_patterns=list(MODEL_FILES)))


@dataclass(frozen=True)
class HubDataset:
    """What the hub says of a dataset before its texts are read."""

    splits: tuple[str, ...]
    classes: tuple[str, ...]
    values: tuple[Any, ...]
    columns: Columns


def describe_dataset(hub_id: str, columns: Columns) -> HubDataset:
    """Splits, columns and class names of a hub dataset.

    Raises:
        StartError: If it cannot be had.
        UsageError: If its columns cannot be told, or its label is not a class.
    """
    with needs_hub("dataset", hub_id, DATA_ADVICE):
        import datasets

        builder = datasets.load_dataset_builder(hub_id)
        if not (builder.info.features and builder.info.splits):
            builder = _prepared(hub_id)
        features, splits = builder.info.features, tuple(builder.info.splits)
    text_at, label_at = find_columns(hub_id, list(features), columns)
    names = list(features)
    label = features[names[label_at]]
    found = replace(columns, text=names[text_at], label=names[label_at])
    classes = tuple(getattr(label, "names", None) or ())
    values: tuple[Any, ...] = tuple(range(len(classes)))
    if not classes:  # numbers or words: what they are is read from train, as from a file
        values = label_values(load_rows(hub_id, "train", found, DATA_ADVICE).labels, hub_id)
        classes = tuple(map(str, values))
    return HubDataset(splits, classes, values, found)


def load_rows(hub_id: str, split: str, columns: Columns, advice: str) -> Rows:
    """Texts and labels of a split.

    Raises:
        StartError: If it cannot be had.
        UsageError: If a text is missing.
    """
    with needs_hub("dataset", hub_id, advice):
        table = _prepared(hub_id).as_dataset(split=split)
        texts, labels = list(table[columns.text]), list(table[columns.label])
    lines = list(range(1, len(texts) + 1))
    return checked_rows(f"{hub_id} ({split})", texts, labels, lines, columns)


def _prepared(hub_id: str) -> Any:
    """A dataset's builder, its files downloaded, compared and read.

    Raises:
        StartError: If a file is not the one that was announced; nothing is kept of it.
    """
    import datasets

    builder = datasets.load_dataset_builder(hub_id)
    try:
        with as_announced("dataset", hub_id):
            builder.download_and_prepare()
    except StartError:
        shutil.rmtree(builder.cache_dir, ignore_errors=True)
        raise
    return builder
