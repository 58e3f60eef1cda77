"""What a person should know of labelled texts before any search: numbers only, nothing printed.

Of the test split only what ``describe_splits`` tells is used here: counts, and hashes of texts.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tune_sentiment.splits import Split, SplitSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = (5, 25, 50, 75, 95, 99)
MOST_BARS = 16  # of a histogram: what a small terminal shows at once


def class_counts(classes: Sequence[str], splits: Mapping[str, SplitSummary]) -> pd.DataFrame:
    """Texts of each class: a row for each class, a column for each split."""
    counts = {name: summary.class_counts for name, summary in splits.items()}
    return pd.DataFrame(counts, index=list(classes))


def shared_texts(splits: Mapping[str, SplitSummary]) -> pd.DataFrame:
    """How many texts of each split stand in it before, or in another split.

    Texts are compared through their hashes: two are one text if their letters and digits are the
    same, whatever the case.

    Returns:
        A row for each split: ``repeated`` (texts that an earlier one of the split equals),
        ``in_train`` and ``in_validation``; null where there is nothing to ask.
    """
    held = splits["validation"].text_hashes
    columns = {
        "repeated": [s.rows - len(np.unique(s.text_hashes)) for s in splits.values()],
        "in_train": [s.num_texts_in_train for s in splits.values()],
        "in_validation": [
            int(np.isin(s.text_hashes, held).sum()) if name == "test" else None
            for name, s in splits.items()
        ],
    }
    return pd.DataFrame(columns, index=list(splits), dtype=object)


def repeated_texts(split: Split) -> pd.DataFrame:
    """Texts that a split holds more than once: first those whose labels contradict each other.

    Returns:
        ``text`` as it is first written, how many ``times`` it is there, and its ``classes``,
        ascending. The more classes and the more times, the further up.
    """
    found = pd.DataFrame({"hash": split.hashes, "text": split.texts, "label": split.labels})
    groups = found.groupby("hash", sort=False)
    made = groups.agg(
        text=("text", "first"),
        times=("text", "size"),
        classes=("label", lambda labels: tuple(sorted(set(labels)))),
    )
    repeated = made[made["times"] > 1]
    weight = pd.DataFrame({"classes": repeated["classes"].map(len), "times": repeated["times"]})
    order = weight.sort_values(["classes", "times"], ascending=False, kind="stable").index
    return repeated.loc[order].reset_index(drop=True)


def length_percentiles(
    lengths: Mapping[str, npt.NDArray[np.int64]], max_length: int
) -> pd.DataFrame:
    """A row for each split: the lengths at PERCENTILES, ``longest``, and ``share_longer``.

    A percentile ``p`` is the least length that ``p`` percent of the texts do not exceed, so it is
    a whole number and one that occurs.

    Args:
        lengths: Tokens of each text of a split, ``[texts]``, nothing truncated.
        max_length: Of ``share_longer``, the share of texts with more tokens, ``[0, 1]``.
    """
    rows = {}
    for name, found in lengths.items():
        values = np.percentile(found, PERCENTILES, method="inverted_cdf")
        row: dict[str, Any] = {str(p): int(v) for p, v in zip(PERCENTILES, values, strict=True)}
        row["longest"] = int(found.max())
        row["share_longer"] = float((found > max_length).mean())
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def lengths_data(lengths: npt.NDArray[np.int64]) -> pd.DataFrame:
    """A histogram: ``texts`` of ``first`` to ``last`` tokens, in at most MOST_BARS + 1 rows.

    Rows are equally wide up to the 99th percentile; the last one takes the longer texts, too, so
    that one very long text does not push all others into one row.
    """
    common = int(np.percentile(lengths, 99, method="inverted_cdf"))
    shortest = int(lengths.min())
    width = next(w for w in _round_numbers() if (common - shortest) // w < MOST_BARS)
    first = np.arange(shortest // width * width, common + 1, width)
    last = np.append(first[1:] - 1, lengths.max())
    rows = np.bincount(np.searchsorted(first, lengths, side="right") - 1, minlength=len(first))
    return pd.DataFrame({"first": first, "last": last, "texts": rows})


def _round_numbers() -> Iterator[int]:
    for power in count():
        yield from (step * 10**power for step in (1, 2, 5))


def span(first: int, last: int) -> str:
    """A range of lengths as a person writes it."""
    return str(first) if first == last else f"{first}-{last}"


def draw_lengths(lengths: npt.NDArray[np.int64], title: str) -> "Figure":
    """The histogram as a figure."""
    from matplotlib.figure import Figure

    data = lengths_data(lengths)
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    axes = figure.add_subplot()
    names = [span(*pair) for pair in zip(data["first"], data["last"], strict=True)]
    axes.bar(names, data["texts"], width=0.9)
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.set(xlabel="tokens, special tokens included", ylabel="texts")
    axes.tick_params("x", rotation=45, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def sample_items(labels: npt.NDArray[np.int64], of_each: int, seed: int) -> npt.NDArray[np.int64]:
    """Numbers of up to ``of_each`` random items of every class, class by class."""
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        items = np.flatnonzero(labels == label)
        chosen.append(np.sort(random.choice(items, min(of_each, len(items)), replace=False)))
    return np.concatenate(chosen)
