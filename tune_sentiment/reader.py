"""Reading people's own files strictly: every row as it is written, or an error with its line.

Texts such as "NA", "null" or "None" stay texts; nothing is guessed, shifted or dropped.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_sentiment.columns import Columns, find_columns
from tune_sentiment.errors import UsageError
from tune_sentiment.labels import check_label, has_surrogates

SEPARATED = (".csv", ".tsv")
FORMATS = (*SEPARATED, ".jsonl", ".parquet")
LARGEST_CELL = 1_000_000  # characters; more is a missing quote or not a text
SHOWN_ROWS = 5


@dataclass(frozen=True)
class Rows:
    """A file's texts and labels as written, with the line each stands on.

    ``dropped`` counts the rows without a text that were left out.
    """

    texts: list[str]
    labels: list[Any]
    lines: list[int]
    dropped: int = 0


def read_rows(path: Path, columns: Columns) -> Rows:
    """Texts and labels of a file.

    Raises:
        UsageError: If anything is not as it should be, with file and line.
    """
    _check_file(path, FORMATS)
    if path.suffix.lower() == ".parquet":
        return checked_rows(path, *_parquet(path, columns), columns)
    text = _decoded(path, columns.encoding)
    if path.suffix.lower() == ".jsonl":
        return checked_rows(path, *_jsonl(path, text, columns), columns)
    return checked_rows(path, *_separated(path, text, columns), columns)


@dataclass(frozen=True)
class Table:
    """A separated file as it is written: every field a string, and the line each row stands on."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]


def read_table(path: Path, encoding: str) -> Table:
    """A csv or tsv file.

    Raises:
        UsageError: If anything is not as it should be, with file and line.
    """
    _check_file(path, SEPARATED)
    return _table(path, _decoded(path, encoding))


def _check_file(path: Path, formats: Sequence[str]) -> None:
    if path.suffix.lower() not in formats:
        raise UsageError(f"{path}: unknown format '{path.suffix}'. Formats: {', '.join(formats)}")
    try:
        if not path.is_file():
            raise UsageError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _decoded(path: Path, encoding: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding == "utf-8":
        raise UsageError(f"{path}: UTF-16, not UTF-8; try --encoding utf-16")
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = content.count(b"\n", 0, at) + 1
        hint = "try --encoding cp1252 (Windows) or latin-1"
        raise UsageError(f"{path} line {line}: not {encoding} at byte {at}; {hint}") from error
    if (nul := text.find("\0")) >= 0:
        raise UsageError(f"{path} line {text.count(chr(10), 0, nul) + 1}: a NUL character")
    return text.removeprefix("\ufeff")


def _separated(path: Path, text: str, columns: Columns) -> tuple[list[Any], list[Any], list[int]]:
    table = _table(path, text)
    text_at, label_at = find_columns(path, table.header, columns)
    texts = [row[text_at] for row in table.rows]
    return texts, [row[label_at] for row in table.rows], table.lines


def _table(path: Path, text: str) -> Table:
    csv.field_size_limit(LARGEST_CELL)
    lines_of_text = io.StringIO(text, newline="")  # other line breaks belong to the texts
    if path.suffix.lower() == ".tsv":  # a tsv knows no quotes: they belong to the texts
        reader = csv.reader(lines_of_text, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines_of_text, strict=True)
    rows, lines = [], []
    found = _csv_rows(path, reader)
    header = [name.strip() for _, row in [next(found, (1, []))] for name in row]
    if not header:
        raise UsageError(f"{path}: no rows")
    for line, row in found:
        if len(row) != len(header):
            raise UsageError(
                f"{path} line {line}: {len(row)} fields where the header has {len(header)} "
                f"({', '.join(header)})"
            )
        rows.append(row)
        lines.append(line)
    return Table(header, rows, lines)


def _csv_rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    line = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            is_open = "unexpected end" in str(error)
            hint = " (an opening quote without a closing one?)" if is_open else ""
            raise UsageError(f"{path} line {line}: {error}{hint}") from error
        if row:  # a wholly empty line separates nothing
            yield line, row
        line = reader.line_num + 1


def _jsonl(path: Path, text: str, columns: Columns) -> tuple[list[Any], list[Any], list[int]]:
    texts, labels, lines = [], [], []
    names: tuple[str, str] | None = None
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content, object_pairs_hook=_unrepeated)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} line {line}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise UsageError(f"{path} line {line}: {type(row).__name__}, not an object")
        if names is None:
            header = list(row)
            text_at, label_at = find_columns(path, header, columns)
            names = header[text_at], header[label_at]
        for name in names:
            if name not in row:
                raise UsageError(f"{path} line {line}: no '{name}'")
        texts.append(row[names[0]])
        labels.append(row[names[1]])
        lines.append(line)
    return texts, labels, lines


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a name stands twice")
    return row


def _parquet(path: Path, columns: Columns) -> tuple[list[Any], list[Any], list[int]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        text_at, label_at = find_columns(path, table.column_names, columns)
        texts, labels = table.column(text_at).to_pylist(), table.column(label_at).to_pylist()
    except UsageError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"{path}: not a readable parquet file ({first})") from error
    return texts, labels, list(range(1, len(texts) + 1))


def checked_rows(
    source: object, texts: list[Any], labels: list[Any], lines: list[int], columns: Columns
) -> Rows:
    """The rows, if every one has a text and a label.

    Raises:
        UsageError: With the source and the line.
    """
    if not texts:
        raise UsageError(f"{source}: no rows")
    blank, kept = [], []
    for place, (line, text) in enumerate(zip(lines, texts, strict=True)):
        if text is None or (isinstance(text, str) and not text.strip()):
            blank.append(line)
            continue
        kept.append(place)
        if not isinstance(text, str):
            raise UsageError(f"{source} line {line}: the text is {str(text)[:40]!r}, not a string")
        elif has_surrogates(text):
            raise UsageError(f"{source} line {line}: half of a surrogate pair in the text")
        elif len(text) > LARGEST_CELL:
            raise UsageError(f"{source} line {line}: a text of {len(text):,} characters")
    if blank and not (columns.drop_empty and kept):
        more = f" and {len(blank) - SHOWN_ROWS} more" if len(blank) > SHOWN_ROWS else ""
        shown = ", ".join(map(str, blank[:SHOWN_ROWS]))
        raise UsageError(
            f"{source} line {shown}{more}: no text (--drop-empty leaves such rows out)"
        )
    for place in kept:
        check_label(source, lines[place], labels[place])
    return Rows(
        [texts[place] for place in kept],
        [labels[place] for place in kept],
        [lines[place] for place in kept],
        dropped=len(blank),
    )
