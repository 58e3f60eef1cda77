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
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UsageError(f"{source}: the column '{repeated[0]}' stands twice in the header")
    places = []
    for kind, named, usual in (
        ("text", columns.text, TEXT_COLUMNS),
        ("label", columns.label, LABEL_COLUMNS),
    ):
        known = [place for word in usual for place, h in enumerate(header) if h.lower() == word]
        if named is None and len({header[place].lower() for place in known[:2]}) < len(known[:2]):
            both = " and ".join(f"'{header[place]}'" for place in known[:2])
            raise UsageError(f"{source}: columns {both}; name one with --{kind}-column")
        if named is not None and named not in header:
            raise UsageError(f"{source}: no column '{named}'. Columns: {', '.join(header)}")
        if named is None and not known:
            if len(header) == 1 and (mark := re.search(r"[;\t|]", header[0])):
                raise UsageError(
                    f"{source}: separated by {mark[0]!r}, not by commas; save it with commas, or "
                    "with tabs as .tsv"
                )
            raise UsageError(
                f"{source}: no {kind} column found; name it with --{kind}-column. Columns: "
                f"{', '.join(header)}"
            )
        places.append(known[0] if named is None else header.index(named))
    if places[0] == places[1]:
        raise UsageError(f"{source}: '{header[places[0]]}' cannot be both text and label")
    return places[0], places[1]
