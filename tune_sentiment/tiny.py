"""A two-layer DistilBERT with random weights, built on the spot: for tests and quick looks."""

import json
import os
import re
import shutil
from collections import Counter
from importlib import resources
from pathlib import Path

from tune_sentiment.proposal import digest

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONFIG = {
    "dim": 32,
    "hidden_dim": 64,
    "n_heads": 4,
    "n_layers": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "initializer_range": 0.2,  # so that so narrow a model tells texts apart
}
WEIGHTS_SEED = 0


def cache_folder() -> Path:
    """Where things that can be computed again are kept between studies."""
    named = os.environ.get("TUNE_SENTIMENT_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(named).expanduser() if named else base / "tune_sentiment"


def tiny_vocabulary() -> list[str]:
    """Special tokens, characters and word parts, and words that the demo corpus uses twice."""
    corpus = resources.files("tune_sentiment") / "corpora" / "reviews.tsv"
    words = Counter(re.findall(r"[a-z]+", corpus.read_text(encoding="utf-8").lower()))
    frequent = sorted(word for word, count in words.items() if count >= 2 and len(word) > 1)
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    parts = [f"##{c}" for c in characters if c.isalnum()]
    return [*SPECIAL_TOKENS, *characters, *parts, *frequent]


def build_tiny() -> Path:
    """Build the model once, or find it where it was built before.

    Returns:
        A folder that transformers loads.
    """
    vocabulary = tiny_vocabulary()
    folder = cache_folder() / f"tiny-{digest([CONFIG, vocabulary, WEIGHTS_SEED])}"
    if folder.is_dir():
        return folder
    import torch
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizer

    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    unfinished.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(WEIGHTS_SEED)
        model = DistilBertModel(DistilBertConfig(vocab_size=len(vocabulary), **CONFIG))
    model.save_pretrained(unfinished)
    ids = {token: index for index, token in enumerate(vocabulary)}
    DistilBertTokenizer(vocab=ids, do_lower_case=True, model_max_length=512).save_pretrained(
        unfinished
    )
    (unfinished / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    json.loads((unfinished / "config.json").read_text())  # unreadable: fail before it is found
    try:
        unfinished.rename(folder)
    except OSError:  # another process was first: its copy is the same
        shutil.rmtree(unfinished)
    return folder
