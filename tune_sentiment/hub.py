"""Reaching the model and data hub: what is cached needs no network; no network is said quickly.

huggingface_hub retries an unreachable host for most of a minute per file, so its reachability is
tried once, briefly, before anything is asked of it.
"""

import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tune_sentiment.columns import Columns, find_columns
from tune_sentiment.errors import StartError
from tune_sentiment.labels import label_values
from tune_sentiment.reader import Rows, checked_rows

PROBE_SECONDS = 5.0
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")


@cache
def is_reachable() -> bool:
    """Whether the hub answers at all, tried once and for a few seconds."""
    from urllib.request import getproxies

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():  # only the hub's own client knows the way through
        return True
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)

    def connect() -> bool:
        with socket.create_connection((address.hostname or "", port), timeout=PROBE_SECONDS):
            return True

    pool = ThreadPoolExecutor(1)  # one deadline for the name and all its addresses
    try:
        return pool.submit(connect).result(timeout=PROBE_SECONDS)
    except (OSError, TimeoutError):
        return False
    finally:
        pool.shutdown(wait=False)


@contextmanager
def needs_hub(what: str, advice: str) -> Generator[None, None, None]:
    """Turn a failure to load ``what`` from the cache or the hub into one line with advice.

    Raises:
        StartError: If the body fails. The hub is not asked when it cannot be reached.
    """
    from huggingface_hub import constants

    reachable = is_reachable()
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable
    try:
        import datasets.config

        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE
        yield
    except Exception as error:  # the libraries behind this raise dozens of classes
        first = next(iter(str(error).strip().splitlines()), "no reason given")
        unreachable = f"{constants.ENDPOINT} cannot be reached and nothing is cached"
        state = f"{type(error).__name__}: {first}" if reachable else unreachable
        raise StartError(f"cannot load {what}: {state}. Without the hub: {advice}") from error
    finally:
        constants.HF_HUB_OFFLINE = before


def model_folder(hub_id: str, advice: str) -> Path:
    """The local folder of a hub model: config, tokenizer and safetensors, nothing else.

    Raises:
        StartError: If it is neither cached nor to be had.
    """
    from huggingface_hub import snapshot_download

    with needs_hub(f"model {hub_id}", advice):
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
    advice = "a file or a folder of files as --dataset"
    with needs_hub(f"dataset {hub_id}", advice):
        import datasets

        builder = datasets.load_dataset_builder(hub_id)
        features = builder.info.features or datasets.load_dataset(hub_id, split="train").features
        splits = tuple(builder.info.splits or datasets.get_dataset_split_names(hub_id))
    text_at, label_at = find_columns(hub_id, list(features), columns)
    names = list(features)
    label = features[names[label_at]]
    found = replace(columns, text=names[text_at], label=names[label_at])
    classes = tuple(getattr(label, "names", None) or ())
    values: tuple[Any, ...] = tuple(range(len(classes)))
    if not classes:  # numbers or words: what they are is read from train, as from a file
        values = label_values(load_rows(hub_id, "train", found, advice).labels, hub_id)
        classes = tuple(map(str, values))
    return HubDataset(splits, classes, values, found)


def load_rows(hub_id: str, split: str, columns: Columns, advice: str) -> Rows:
    """Texts and labels of a split.

    Raises:
        StartError: If it cannot be had.
        UsageError: If a text is missing.
    """
    with needs_hub(f"dataset {hub_id}", advice):
        import datasets

        datasets.disable_progress_bars()
        table = datasets.load_dataset(hub_id, split=split)
        texts, labels = list(table[columns.text]), list(table[columns.label])
    lines = list(range(1, len(texts) + 1))
    return checked_rows(f"{hub_id} ({split})", texts, labels, lines, columns)
