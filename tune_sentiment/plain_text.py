"""People's own words and our numbers as plain text of a terminal's width, without colours."""

import shutil
import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from tabulate import tabulate

WIDTH_UNKNOWN = (100, 24)  # columns and lines where the output is no terminal
EIGHTHS = " ▏▎▍▌▋▊▉"


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size(WIDTH_UNKNOWN).columns


def one_line(text: str) -> str:
    """The text without line breaks, and without what would steer a terminal."""
    shown = (" " if unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join("".join(shown).split())


def shortened(text: str, columns: int) -> str:
    """As much of the text as stands in so many columns; a wide character takes two."""
    line = Text(text, end="")
    line.truncate(max(1, columns), overflow="ellipsis")
    return line.plain


def padded(text: str, columns: int) -> str:
    """The text, filled up with blanks to exactly so many columns, or cut."""
    return set_cell_size(shortened(text, columns), columns)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is aligned left, and all others right."""
    sides = ["left", *["right"] * (len(heads) - 1)]
    return tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=sides)


def bar(share: float, columns: int) -> str:
    """A bar of so many columns for a share of 1; what is more than 0 is never invisible."""
    eighths = round(8 * share * columns)
    if share > 0:
        eighths = max(1, eighths)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def side_by_side(heads: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Rows of equally many cells, one cell below the other, broken where the terminal ends.

    Args:
        heads: What stands before each row.
        rows: Cells of each row.
        columns: Of a line; a single cell may be longer.
    """
    before = max(map(cell_len, heads)) + 2
    sizes = [max(map(cell_len, cells)) + 1 for cells in zip(*rows, strict=True)]
    lines: list[str] = []
    start = 0
    while start < len(sizes):
        end, used = start + 1, before + sizes[start]
        while end < len(sizes) and used + sizes[end] <= columns:
            used += sizes[end]
            end += 1
        for head, row in zip(heads, rows, strict=True):
            cells = zip(row[start:end], sizes[start:end], strict=True)
            line = padded(head, before) + "".join(padded(cell, size) for cell, size in cells)
            lines.append(line.rstrip())
        start = end
    return lines
