"""Tiny backbones and data, made on the spot and loaded through the real code.

With FAULT_RECORDS, a file, each test of a fault adds a line on how it ended to it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.catalogue import CATALOGUE
from tests.faults.reliability import note
from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.features import Features
from tune_sentiment.tokens import Tokens, tokenise

FAMILIES = ("distilbert", "bert", "roberta", "electra")
CHECKOUT = Path(__file__).resolve().parent.parent
FAULT = "fault"  # the marker that names a row of docs/reliability.md
GOOD = ["a lovely film", "warm and funny", "i liked every minute", "a joy to watch"]
BAD = ["a dull film", "cold and slow", "i left after an hour", "a chore to watch"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (mark := item.get_closest_marker(FAULT)) is not None:
            assert mark.args[0] in CATALOGUE, f"{item.nodeid}: unknown fault {mark.args[0]}"
            item.user_properties.append((FAULT, mark.args[0]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record how a test of a fault ended; one that was never run is no try."""
    properties = dict(report.user_properties)
    fault, records = properties.pop(FAULT, None), os.environ.get("FAULT_RECORDS")
    if fault and records and (report.when == "call" or report.failed) and not report.skipped:
        line = {FAULT: fault, "test": report.nodeid, "passed": report.passed}
        line |= {"seconds": round(report.duration, 1), **properties}
        note(Path(records), line)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["TUNE_SENTIMENT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def tiny() -> Backbone:
    return load_backbone("tiny")


def build_family(family: str, folder: Path, tiny_folder: Path) -> Path:
    """A two-layer encoder of another family with random weights and the tiny tokenizer."""
    import torch
    import transformers

    config_class, model_class = {
        "bert": (transformers.BertConfig, transformers.BertModel),
        "roberta": (transformers.RobertaConfig, transformers.RobertaModel),
        "electra": (transformers.ElectraConfig, transformers.ElectraModel),
    }[family]
    vocabulary = (tiny_folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    config = config_class(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        pad_token_id=0,
        initializer_range=0.2,
        hidden_dropout_prob=0.0,
        **({"embedding_size": 16} if family == "electra" else {}),
        **({"max_position_embeddings": 514} if family == "roberta" else {}),
    )
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def families(tiny: Backbone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backbone]:
    made = {"distilbert": tiny}
    for family in FAMILIES[1:]:
        folder = build_family(family, tmp_path_factory.mktemp(family), tiny.folder)
        made[family] = load_backbone(str(folder))
    return made


@pytest.fixture(scope="session", params=FAMILIES)
def backbone(request: pytest.FixtureRequest, families: dict[str, Backbone]) -> Backbone:
    return families[request.param]


@pytest.fixture(scope="session")
def eight(tiny: Backbone) -> Tokens:
    """Eight sentences, four of each class."""
    labels = np.array([1] * len(GOOD) + [0] * len(BAD), dtype=np.int64)
    return tokenise(tiny, GOOD + BAD, labels, 32)


def repeat(tokens: Tokens, times: int) -> Tokens:
    """The same texts several times over."""
    offsets = np.concatenate([[0], np.cumsum(np.tile(tokens.lengths, times))])
    labels = np.tile(tokens.labels, times)
    return Tokens(np.tile(tokens.ids, times), offsets, labels, tokens.pad_id, tokens.max_length)


@pytest.fixture
def made_features() -> Callable[..., Features]:
    """Features of two classes that a line separates up to some noise."""

    def make(rows: int = 200, width: int = 8, noise: float = 1.0, seed: int = 0) -> Features:
        random = np.random.default_rng(seed)
        labels = np.arange(rows) % 2
        base = random.normal(size=(rows, width)) * noise
        base[:, 0] += 2.0 * labels - 1.0
        pooled = {"cls": base.astype(np.float32), "mean": (base + 0.1).astype(np.float32)}
        return Features(pooled, labels.astype(np.int64), 0.0, 1000)

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data sets beside the checkout, or the folder that the environment names."""
    named = os.environ.get("TUNE_SENTIMENT_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set TUNE_SENTIMENT_DATA")
    return folder.resolve()
