"""Which columns of a source hold texts and labels: named, or found by their usual names."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tune_sentiment.errors import UsageError, unknown

TEXT_COLUMNS = ("text", "sentence", "review", "content", "comment")
LABEL_COLUMNS = ("label", "labels", "class", "sentiment", "target")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns hold what, and how the file is encoded.

    Args:
        text: Column with the texts; ``None`` to find it.
        label: Column with the labels; ``None`` to find it.
        encoding: A Python codec's name.
        drop_empty: Leave rows without a text out instead of refusing the file.
    """

    text: str | None = None
    label: str | None = None
    encoding: str = "utf-8"
    drop_empty: bool = False

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
        except (LookupError, ValueError) as error:
            known = ("utf-8", "cp1252", "latin-1", "utf-16", "cp1251", "gb18030", "shift-jis")
            raise unknown("encoding", self.encoding, known, plural="Encodings") from error


def find_columns(source: object, header: Sequence[str], columns: Columns) -> tuple[int, int]:
    """Places of the text and the label column.

    Raises:
        UsageError: If a name is missing, stands twice, or none is found.
    """
    text = find_column(source, header, "text", columns.text, TEXT_COLUMNS)
    label = find_column(source, header, "label", columns.label, LABEL_COLUMNS)
    if text == label:
        raise UsageError(f"{source}: '{header[text]}' cannot be both text and label")
    return text, label


def find_column(
    source: object, header: Sequence[str], kind: str, named: str | None, usual: Sequence[str]
) -> int:
    """Place of one column.

    Args:
        source: What an error names.
        header: All columns.
        kind: What it holds, ``text`` or ``label``.
        named: As the user calls it, ``None`` to find it.
        usual: Names that are looked for, lower case.

    Raises:
        UsageError: If the name is missing, stands twice, or none is found.
    """
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UsageError(f"{source}: the column '{repeated[0]}' stands twice in the header")
    if named is not None and named not in header:
        raise UsageError(f"{source}: no column '{named}'. Columns: {', '.join(header)}")
    if named is not None:
        return header.index(named)
    known = [place for word in usual for place, h in enumerate(header) if h.lower() == word]
    if len({header[place].lower() for place in known[:2]}) < len(known[:2]):
        both = " and ".join(f"'{header[place]}'" for place in known[:2])
        raise UsageError(f"{source}: columns {both}; name one with --{kind}-column")
    if known:
        return known[0]
    if len(header) == 1 and (mark := re.search(r"[;\t|]", header[0])):
        raise UsageError(
            f"{source}: separated by {mark[0]!r}, not by commas; save it with commas, or with "
            "tabs as .tsv"
        )
    raise UsageError(
        f"{source}: no {kind} column found; name it with --{kind}-column. Columns: "
        f"{', '.join(header)}"
    )
