"""The overview as text: one block for each thing that is looked at."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tune_sentiment.neighbours import Encoded
from tune_sentiment.overview import (
    PERCENTILES,
    class_counts,
    length_percentiles,
    lengths_data,
    repeated_texts,
    sample_items,
    shared_texts,
    span,
)
from tune_sentiment.plain_text import bar, one_line, padded, shortened, side_by_side, table, width
from tune_sentiment.splits import PHRASE_WORDS, Split, SplitSummary

SHOWN_OF_CLASS = 3
SHOWN_SAMPLES = 12  # of all classes together, unless that is less than one each
SHOWN_REPEATED = 3
WIDEST_LABEL = 20  # columns
WIDEST_BAR = 50
NARROWEST_BAR = 10


def counts_block(classes: Sequence[str], splits: Mapping[str, SplitSummary]) -> str:
    """Sizes, classes, and which texts stand twice."""
    rows = [["texts", *(f"{summary.rows:,}" for summary in splits.values())]]
    counts, shared = class_counts(classes, splits), shared_texts(splits)
    for label, found in zip(classes, counts.to_numpy().tolist(), strict=True):
        cells = zip(found, splits.values(), strict=True)
        shares = (f"{n:,} ({100 * n / summary.rows:.1f} %)" for n, summary in cells)
        rows.append([_name(label), *shares])
    titles = {
        "repeated": "repeated in the split",
        "in_train": "also in train",
        "in_validation": "also in validation",
    }
    for column, title in titles.items():
        values = shared[column].tolist()
        rows.append([title, *("-" if value is None else f"{value:,}" for value in values)])
    phrases = [summary.share_with_training_phrase for summary in splits.values()]
    title = f"hold a training text of {PHRASE_WORDS}+ words"
    rows.append([title, *("-" if share is None else f"{100 * share:.1f} %" for share in phrases)])
    return table(["", *splits], rows)


def repeated_block(train: Split, classes: Sequence[str]) -> str:
    """How many training texts are there more than once, and the worst of them."""
    found = repeated_texts(train)
    several = int((found["classes"].map(len) > 1).sum())
    lines = [f"Training texts that are repeated: {len(found):,}, with several labels: {several:,}"]
    for row in found.head(SHOWN_REPEATED).to_dict("records"):
        labels = ", ".join(_name(classes[label]) for label in row["classes"])
        line = f"  {row['times']} times  {labels}  {one_line(row['text'])}"
        lines.append(shortened(line, width()))
    return "\n".join(lines)


def lengths_block(lengths: Mapping[str, npt.NDArray[np.int64]], limit: int, model: str) -> str:
    """Percentiles of each split's lengths in tokens, and what they say."""
    found = length_percentiles(lengths, limit).to_dict("index")
    heads = ["tokens, at most", *(f"{p} %" for p in PERCENTILES), "longest", f"over {limit:,}"]
    rows = []
    for name, row in found.items():
        numbers = [row[str(p)] for p in PERCENTILES] + [row["longest"]]
        share = f"{100 * row['share_longer']:.2f} %"
        rows.append([str(name), *(f"{number:,}" for number in numbers), share])
    most = f"95 % of the training texts have at most {found['train']['95']:,} tokens"
    return f"{table(heads, rows)}\n\n{most} ({model}'s, special ones included)."


def histogram_block(lengths: npt.NDArray[np.int64]) -> str:
    """How many texts have how many tokens, as bars."""
    data = lengths_data(lengths)
    counts: list[int] = data["texts"].tolist()
    names = [span(*pair) for pair in zip(data["first"], data["last"], strict=True)]
    numbers = [f"{texts:,}" for texts in counts]
    before, beside = max(map(len, names)), max(map(len, numbers))
    room = max(NARROWEST_BAR, min(WIDEST_BAR, width() - before - beside - 6))
    lines = [
        f"  {name:>{before}}  {number:>{beside}}  {bar(texts / max(counts), room)}".rstrip()
        for name, number, texts in zip(names, numbers, counts, strict=True)
    ]
    return "\n".join(lines)


def samples_block(train: Split, classes: Sequence[str], seed: int) -> str:
    """A few training texts of each class, chosen at random."""
    of_each = max(1, min(SHOWN_OF_CLASS, SHOWN_SAMPLES // len(classes)))
    items = sample_items(train.labels, of_each, seed)
    return "\n".join(text_line(train, int(item), classes) for item in items)


def quoted(text: str) -> str:
    """A text that was asked about, as a heading."""
    return f'"{shortened(one_line(text), width() - 2)}"'


def encoded_block(found: Encoded) -> str:
    """A text's tokens with their numbers, and the shape of what the encoder says of them."""
    rows = [
        [one_line(token) for token in found.tokens],
        [str(number) for number in found.ids],
        [str(one) for one in found.attention_mask],
    ]
    lines = side_by_side(["  tokens", "  ids", "  attention mask"], rows, width())
    cut = "" if found.num_cut == 0 else f", {found.num_cut:,} more tokens are cut off"
    return "\n".join([*lines, f"  hidden states   {found.shape}{cut}"])


def neighbours_block(
    found: Sequence[tuple[int, float]], train: Split, classes: Sequence[str]
) -> str:
    """Training texts with their similarities."""
    return "\n".join(
        text_line(train, item, classes, f"  {similarity:6.3f}") for item, similarity in found
    )


def text_line(train: Split, item: int, classes: Sequence[str], before: str = "") -> str:
    """One training text behind its label, in one line."""
    column = min(WIDEST_LABEL, max(len(_name(label)) for label in classes))
    label = padded(_name(classes[train.labels[item]]), column)
    return shortened(f"{before}  {label}  {one_line(train.texts[item])}", width())


def _name(label: str) -> str:
    return shortened(one_line(label), WIDEST_LABEL)
