"""Texts as flat arrays of token ids, shared without copies, and the batches cut from them.

A batch is made of a few numpy slices and a mask: data that fits in memory needs no loader.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from tune_sentiment.backbone import Backbone

BUCKET_BATCHES = 50  # batches whose sentences are sorted together: short pads, still random order
COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "camembert")  # positions begin behind pad's id
TOKENISE_TEXTS = 10_000  # texts given to the tokenizer at once, to bound its memory


class Inputs(Protocol):
    """What a classifier reads: labelled items that can be gathered into a batch."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Classes from 0, ``[items]``."""
        ...

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each item, ``[items]``."""
        ...

    @property
    def vocabulary(self) -> npt.NDArray[np.int64] | None:
        """Token ids that occur, ascending; ``None`` where no tokens are read."""
        ...

    def __len__(self) -> int: ...

    def batch(self, items: npt.NDArray[np.int64], padding: str = "dynamic") -> dict[str, Any]:
        """Arguments of ``logits_of`` for these items."""
        ...


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts, one after the other.

    Args:
        ids: Token ids with special tokens, ``[sum of lengths]``, int32.
        offsets: Where each text starts, and the end, ``[texts + 1]``.
        labels: Classes from 0, ``[texts]``.
        pad_id: Fills up the shorter texts of a batch.
        max_length: The longest that any text may be, in tokens.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    pad_id: int
    max_length: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, ``[texts]``."""
        return np.diff(self.offsets)

    @property
    def vocabulary(self) -> npt.NDArray[np.int64]:
        """Token ids that occur, ascending."""
        return np.unique(self.ids).astype(np.int64)

    def batch(self, items: npt.NDArray[np.int64], padding: str = "dynamic") -> dict[str, Any]:
        """``input_ids`` and ``attention_mask``, each ``[len(items), width]``, or a packed batch.

        The width is that of the batch's longest text, or ``max_length`` where padding is ``fixed``.
        """
        import torch

        if padding == "packed":
            return self._packed(items)
        lengths = self.offsets[items + 1] - self.offsets[items]
        width = self.max_length if padding == "fixed" else int(lengths.max())
        columns = np.arange(width)
        mask = columns < lengths[:, None]
        ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        ids[mask] = self.ids[(self.offsets[items][:, None] + columns)[mask]]
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }

    def _packed(self, items: npt.NDArray[np.int64]) -> dict[str, Any]:
        """These texts one after the other, as ``logits_of`` takes them."""
        import torch

        from tune_sentiment.packing import Packing

        lengths = self.offsets[items + 1] - self.offsets[items]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        longest = int(lengths.max())
        columns = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        rows = np.repeat(np.arange(len(items)), lengths)
        ids = self.ids[np.repeat(self.offsets[items], lengths) + columns].astype(np.int64)
        mask = np.arange(longest) < lengths[:, None]
        packing = Packing(
            torch.from_numpy(starts),
            torch.from_numpy(rows * longest + columns),
            torch.from_numpy(mask[:, None, None]),
        )
        return {
            "input_ids": torch.from_numpy(ids)[None],
            "position_ids": torch.from_numpy(columns)[None],
            "packing": packing,
        }


class Part:
    """A few items of a larger set, as inputs of their own.

    Args:
        whole: The set; its vocabulary stays that of all its items.
        items: Their numbers in it.
    """

    def __init__(self, whole: Inputs, items: npt.NDArray[np.int64]) -> None:
        self.whole, self.items = whole, items
        self.lengths, self.labels = whole.lengths[items], whole.labels[items]
        self.vocabulary = whole.vocabulary

    def __len__(self) -> int:
        return len(self.items)

    def batch(self, items: npt.NDArray[np.int64], padding: str = "dynamic") -> dict[str, Any]:
        """What the set makes of these of its items."""
        return self.whole.batch(self.items[items], padding)


def tokenise(
    backbone: "Backbone", texts: Sequence[str], labels: npt.NDArray[np.int64], max_length: int
) -> Tokens:
    """Token ids of every text, truncated to ``max_length`` and to what the backbone can read."""
    tokenizer: Any = backbone.tokenizer()
    limit = readable_length(backbone, tokenizer, max_length)
    rows = list(_token_ids(tokenizer, texts, truncation=True, max_length=limit))
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    ids = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows])
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return Tokens(ids, offsets, labels, int(pad_id), limit)


def readable_length(backbone: "Backbone", tokenizer: Any, max_length: int) -> int:
    """Where a text is truncated: at ``max_length`` tokens, or at what the backbone can read."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(backbone.folder, trust_remote_code=False)
    positions = config.max_position_embeddings - first_position(config)
    return int(min(max_length, tokenizer.model_max_length, positions))


def token_lengths(backbone: "Backbone", texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Tokens of each whole text, however long, special tokens included, ``[texts]``."""
    rows = _token_ids(backbone.tokenizer(), texts, truncation=False)
    return np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(texts))


def _token_ids(tokenizer: Any, texts: Sequence[str], **options: Any) -> Iterator[list[int]]:
    for start in range(0, len(texts), TOKENISE_TEXTS):
        chunk = list(texts[start : start + TOKENISE_TEXTS])
        yield from tokenizer(chunk, verbose=False, **options)["input_ids"]


def first_position(config: "PretrainedConfig") -> int:
    """What an encoder calls the position of a text's first token."""
    return config.pad_token_id + 1 if config.model_type in COUNTED_FROM_PADDING else 0


def training_batches(
    lengths: npt.NDArray[np.int64], batch_size: int, padding: str, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """One epoch's batches of item numbers; each item occurs once, the last batch may be short.

    The same arguments give the same batches, so a position in them needs no saved random state.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    if padding != "bucketed":
        return _cut(order, batch_size)
    size = batch_size * BUCKET_BATCHES
    batches = []
    for start in range(0, len(order), size):
        bucket = order[start : start + size]
        batches += _cut(bucket[np.argsort(lengths[bucket], kind="stable")], batch_size)
    short = batches.pop() if len(batches[-1]) < batch_size else None
    shuffled = [batches[i] for i in random.permutation(len(batches))]
    return shuffled if short is None else [*shuffled, short]


def scoring_batches(
    lengths: npt.NDArray[np.int64], batch_size: int
) -> Iterator[npt.NDArray[np.int64]]:
    """All items once, similar lengths together."""
    yield from _cut(np.argsort(lengths, kind="stable"), batch_size)


def _cut(order: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
