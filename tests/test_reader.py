"""People's files: what is read as written, and every malformation refused with its line."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tune_sentiment.columns import Columns
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.errors import UsageError
from tune_sentiment.labels import label_values
from tune_sentiment.reader import LARGEST_CELL, read_rows

GOOD = "text,label\ngood film,1\nbad film,0\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


MALFORMED: list[tuple[str, str | bytes, str]] = [
    ("empty.csv", "", "no rows"),
    ("empty.tsv", "", "no rows"),
    ("empty.jsonl", "", "no rows"),
    ("blank.csv", "\n\n\n", "no rows"),
    ("header.csv", "text,label\n", "no rows"),
    ("missing_text.csv", "body,label\na,1\n", "no text column found; name it with --text-column"),
    ("missing_label.csv", "text,stars\na,1\n", "no label column found; name it with --label-col"),
    ("semicolons.csv", "text;label\na;1\n", "separated by ';', not by commas"),
    ("two_headers.csv", "text,text,label\na,b,1\n", "'text' stands twice"),
    ("wide.csv", GOOD + "a, b,1\n", "line 4: 3 fields where the header has 2 (text, label)"),
    ("narrow.csv", GOOD + "only text\n", "line 4: 1 fields where the header has 2"),
    ("wide.tsv", "text\tlabel\na\t1\nb\tc\t0\n", "line 3: 3 fields"),
    ("comma.tsv", "text,label\na,1\n", "no text column found"),
    ("open_quote.csv", GOOD + '"a,1\nb,0\n', "line 4: unexpected end of data"),
    ("after_quote.csv", GOOD + '"a"b,1\n', "line 4: "),
    ("blank_text.csv", GOOD + "   ,1\n", "line 4: no text"),
    ("empty_text.csv", GOOD + ",1\n,0\n", "line 4, 5: no text"),
    ("many_blank.csv", GOOD + ",1\n" * 9, "line 4, 5, 6, 7, 8 and 4 more: no text"),
    ("blank_label.csv", GOOD + "a,\n", "line 4: no label"),
    ("spaces_label.csv", GOOD + "a,  \n", "line 4: no label"),
    ("minus.csv", GOOD + "a,-1\n", "line 4: the label is -1, which means unlabelled"),
    ("float.csv", GOOD + "a,0.5\n", "line 4: the label is '0.5'; whole numbers or words"),
    ("float_one.csv", GOOD + "a,1.0\n", "line 4: the label is '1.0'"),
    ("nan.csv", GOOD + "a,nan\n", "line 4: the label is 'nan'"),
    ("inf.csv", GOOD + "a,inf\n", "line 4: the label is 'inf'"),
    ("huge_number.csv", GOOD + "a,1e999\n", "line 4: the label is '1e999'"),
    ("nul.csv", GOOD + "a\0b,1\n", "line 4: a NUL character"),
    (
        "latin1.csv",
        "text,label\ncaf\xe9,1\n".encode("latin-1"),
        "line 2: not utf-8 at byte 14",
    ),
    ("utf16.csv", GOOD.encode("utf-16"), "UTF-16, not UTF-8; try --encoding utf-16"),
    ("utf16be.csv", b"\xfe\xff" + GOOD.encode("utf-16-be"), "try --encoding utf-16"),
    ("huge.csv", GOOD + f'"{"x" * (LARGEST_CELL + 1)}",1\n', "line 4: field larger than"),
    ("notjson.jsonl", '{"text": "a", "label": 1}\n{text: b}\n', "line 2: not JSON"),
    ("cut.jsonl", '{"text": "a", "label": 1}\n{"text": "b"', "line 2: not JSON"),
    ("deep.jsonl", "[" * 100_000, "line 1: not JSON"),
    ("list.jsonl", '["a", 1]\n', "line 1: list, not an object"),
    ("number.jsonl", "3\n", "line 1: int, not an object"),
    ("missing.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: no 'label'"),
    ("null_text.jsonl", '{"text": null, "label": 1}\n', "line 1: no text"),
    ("number_text.jsonl", '{"text": 5, "label": 1}\n', "line 1: the text is '5', not a string"),
    ("bool.jsonl", '{"text": "a", "label": true}\n', "line 1: the label is 'True'"),
    ("list_label.jsonl", '{"text": "a", "label": [1]}\n', "line 1: the label is '[1]'"),
    ("null_label.jsonl", '{"text": "a", "label": null}\n', "line 1: no label"),
    ("nan.jsonl", '{"text": "a", "label": NaN}\n', "line 1: the label is nan"),
    ("float.jsonl", '{"text": "a", "label": 1.5}\n', "line 1: the label is 1.5"),
    ("padded.csv", GOOD + "a,01\n", "line 4: the label is '01'"),
    ("grouped.csv", GOOD + "a,1_0\n", "line 4: the label is '1_0'"),
    ("spaced.csv", GOOD + "a, 1\n", "line 4: blanks or broken characters around the label ' 1'"),
    ("half_label.jsonl", '{"text": "a", "label": "b\\ud800"}\n', "line 1: blanks or broken"),
    ("twice.jsonl", '{"text": "a", "text": "b", "label": 1}\n', "line 1: not JSON (a name stands"),
    ("cases.csv", "Text,text,label\na,b,1\n", "columns 'Text' and 'text'; name one"),
    ("half.jsonl", '{"text": "a \\ud800", "label": 1}\n', "line 1: half of a surrogate pair"),
    ("huge.jsonl", json.dumps({"text": "x" * (LARGEST_CELL + 1), "label": 1}), "1,000,001 chara"),
    ("text.parquet", GOOD, "not a readable parquet file"),
    ("empty.parquet", "", "not a readable parquet file"),
    ("reviews.txt", GOOD, "unknown format '.txt'. Formats: .csv, .tsv, .jsonl, .parquet"),
]


def test_there_are_forty_malformed_files() -> None:
    assert len(MALFORMED) >= 40
    assert len({name for name, _, _ in MALFORMED}) >= 38


@pytest.mark.parametrize(
    ("name", "content", "message"), MALFORMED, ids=[f"{i}-{m[0]}" for i, m in enumerate(MALFORMED)]
)
def test_a_malformed_file_is_refused_with_its_name_and_reason(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(UsageError) as caught:
        read_rows(path, Columns())
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"text": ["a", None], "label": [1, 0]}, "line 2: no text"),
        ({"text": [1, 2], "label": [1, 0]}, "line 1: the text is '1'"),
        ({"text": ["a", "b"], "label": [1.0, 0.5]}, "line 1: the label is 1.0"),
        ({"text": ["a", "b"], "label": [True, False]}, "the label is 'True'"),
        ({"text": ["a", "b"], "stars": [1, 0]}, "no label column found"),
        ({"text": [], "label": []}, "no rows"),
    ],
)
def test_a_malformed_parquet_file_is_refused(frame: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pd.DataFrame(frame).to_parquet(path)
    with pytest.raises(UsageError) as caught:
        read_rows(path, Columns())
    assert message in str(caught.value)


def test_a_folder_a_pipe_and_a_loop_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name, message in (
        ("folder.csv", "not a regular file"),
        ("pipe.csv", "not a regular file"),
        ("loop.csv", "loop.csv"),
        ("nothing.csv", "no such file"),
    ):
        with pytest.raises(UsageError, match=message):
            read_rows(tmp_path / name, Columns())


@pytest.mark.parametrize(
    ("name", "content", "texts", "labels"),
    [
        ("words.csv", "text,label\nNA,pos\nnull,neg\nNone,pos\n", ["NA", "null", "None"], None),
        ("quoted.csv", 'text,label\n"a, b",1\n"say ""x""",0\n', ["a, b", 'say "x"'], None),
        ("newline.csv", 'text,label\n"two\nlines",1\nb,0\n', ["two\nlines", "b"], None),
        ("bom.csv", b"\xef\xbb\xbftext,label\na,1\nb,0\n", ["a", "b"], None),
        ("crlf.csv", "text,label\r\na,1\r\nb,0\r\n", ["a", "b"], ["1", "0"]),
        ("order.tsv", "label\ttext\n1\ta\n0\tb\n", ["a", "b"], ["1", "0"]),
        ("quotes.tsv", 'text\tlabel\n"Great" film\t1\n"bad\t0\n', ['"Great" film', '"bad'], None),
        ("upper.csv", "Sentence,Sentiment\na,1\nb,0\n", ["a", "b"], ["1", "0"]),
        ("separator.csv", "text,label\na\u2028b,1\nc,0\n", ["a\u2028b", "c"], ["1", "0"]),
        ("gap.csv", "text,label\na,1\n\nb,0\n", ["a", "b"], ["1", "0"]),
        ("formula.csv", "text,label\n=cmd|x,1\n<b>,0\n", ["=cmd|x", "<b>"], None),
        ("mixed.jsonl", '{"text":"a","label":"x"}\n\n{"label":"y","text":"b"}', ["a", "b"], None),
    ],
)
def test_a_good_file_is_read_as_it_is_written(
    name: str, content: str | bytes, texts: list[str], labels: list[str] | None, tmp_path: Path
) -> None:
    rows = read_rows(written(tmp_path, name, content), Columns())
    assert rows.texts == texts
    if labels is not None:
        assert rows.labels == labels


def test_rows_without_a_text_can_be_left_out_and_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "gaps.csv", GOOD + "  ,1\n,\nfine film,1\n")
    rows = read_rows(path, Columns(drop_empty=True))
    assert rows.texts == ["good film", "bad film", "fine film"]
    assert (rows.labels, rows.lines, rows.dropped) == (["1", "0", "1"], [2, 3, 6], 2)
    nothing = written(tmp_path, "nothing.csv", "text,label\n ,1\n")
    with pytest.raises(UsageError, match="no text"):
        read_rows(nothing, Columns(drop_empty=True))


def test_columns_and_encoding_can_be_named(tmp_path: Path) -> None:
    content = "id;x,Comentário,Nota\n1,ótimo,5\n2,péssimo,1\n".encode("latin-1")
    path = written(tmp_path, "odd.csv", content)
    columns = Columns(text="Comentário", label="Nota", encoding="latin-1")
    assert read_rows(path, columns).texts == ["ótimo", "péssimo"]
    with pytest.raises(UsageError, match=r"no column 'Note'\. Columns: id;x, Comentário, Nota"):
        read_rows(path, Columns(text="Comentário", label="Note", encoding="latin-1"))
    with pytest.raises(UsageError, match="cannot be both"):
        read_rows(path, Columns(text="Nota", label="Nota", encoding="latin-1"))
    with pytest.raises(UsageError, match="unknown encoding 'latin-one'"):
        Columns(encoding="latin-one")


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (["1", "0", "1"], (0, 1)),
        ([5, 1, 3], (1, 3, 5)),
        (["10", "9"], (9, 10)),
        (["pos", "neg"], ("neg", "pos")),
        (["joy", "anger", "joy", "calm"], ("anger", "calm", "joy")),
    ],
)
def test_labels_are_ordered_numbers_or_words(labels: list[Any], values: tuple[Any, ...]) -> None:
    assert label_values(labels, Path("x.csv")) == values


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["1", "pos"], "numbers .* and words"),
        (["1", "1"], "every label is 1"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused(labels: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        label_values(labels, Path("x.csv"))


@settings(
    max_examples=2_000,
    deadline=2_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
    derandomize=True,
)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda rest: b"text,label\n" + rest),
        st.text(alphabet='a1,"\n\t{}:[]\\\r\0\ufeff', max_size=120).map(
            lambda rest: ("text,label\n" + rest).encode()
        ),
        st.lists(
            st.dictionaries(st.sampled_from(["text", "label"]), st.integers() | st.text())
        ).map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode()),
    ),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]),
)
def test_any_bytes_are_data_or_our_own_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / f"fuzz{suffix}"
    path.write_bytes(content)
    try:
        rows = read_rows(path, Columns())
        label_values(rows.labels, path)
    except UsageError:
        return
    assert rows.texts
    assert all(isinstance(text, str) and text.strip() for text in rows.texts)
    assert len(rows.texts) == len(rows.labels) == len(rows.lines)


def test_one_file_is_a_dataset(tmp_path: Path) -> None:
    lines = [
        f"{'good' if i % 2 else 'bad'} film {i},{'up' if i % 2 else 'down'}" for i in range(60)
    ]
    spec = dataset_named(str(written(tmp_path, "mine.csv", "text,label\n" + "\n".join(lines))))
    assert (spec.name, spec.classes, spec.split.name) == (
        "mine",
        ("down", "up"),
        "one file cut 80/10/10",
    )


def test_a_folder_needs_one_file_for_each_split(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        written(tmp_path, f"{split}.csv", GOOD)
    with pytest.raises(UsageError, match="no test file"):
        dataset_named(str(tmp_path))
    written(tmp_path, "test.tsv", GOOD.replace(",", "\t"))
    assert dataset_named(str(tmp_path)).classes == ("0", "1")
    written(tmp_path, "test.csv", GOOD)
    with pytest.raises(UsageError, match="more than one test file"):
        dataset_named(str(tmp_path))
