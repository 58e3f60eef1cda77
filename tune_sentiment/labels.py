"""What a label may be: a word, or a whole number written as one."""

import re
from collections.abc import Sequence
from typing import Any

from tune_sentiment.errors import UsageError


def check_label(source: object, line: int, label: Any) -> None:
    """Refuse what is neither a word nor a whole number.

    Raises:
        UsageError: With the source and the line.
    """
    where = f"{source} line {line}"
    if label is None or (isinstance(label, str) and not label.strip()):
        raise UsageError(f"{where}: no label")
    if isinstance(label, str) and (label != label.strip() or has_surrogates(label)):
        raise UsageError(f"{where}: blanks or broken characters around the label {label!a}")
    if isinstance(label, bool) or not isinstance(label, str | int | float):
        raise UsageError(f"{where}: the label is {str(label)[:40]!r}; whole numbers or words only")
    number = as_number(label)
    if number is None:
        return
    if as_integer(label) is None:
        raise UsageError(
            f"{where}: the label is {label!r}; whole numbers or words only (3, not 3.0)"
        )
    if number == -1:
        raise UsageError(f"{where}: the label is -1, which means unlabelled; leave such rows out")


def has_surrogates(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which no encoding can write."""
    return re.search(r"[\ud800-\udfff]", text) is not None


def as_number(label: Any) -> float | None:
    """The label as a number; ``None`` for a word."""
    try:
        return float(label)
    except ValueError:
        return None
    except OverflowError:
        return float("inf")


def as_integer(label: Any) -> int | None:
    """The label as a whole number, written as one; ``None`` otherwise."""
    if isinstance(label, str):
        return int(label) if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", label) else None
    return label if isinstance(label, int) else None


def label_values(labels: Sequence[Any], source: object) -> tuple[Any, ...]:
    """The different labels in their order: whole numbers by size, words by alphabet.

    Raises:
        UsageError: If numbers and words are mixed, or there is one class only.
    """
    different = set(labels)
    numbers = sorted({n for label in different if (n := as_integer(label)) is not None})
    words = sorted(label for label in different if as_integer(label) is None)
    if numbers and words:
        raise UsageError(
            f"{source}: labels are numbers ({numbers[0]}) and words ({words[0]!r}) in one column"
        )
    values: list[Any] = numbers or words
    if len(values) < 2:
        raise UsageError(f"{source}: every label is {values[0]!r}; a classifier needs two classes")
    return tuple(values)
