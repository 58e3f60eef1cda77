"""The command that looks at a dataset and at texts, before any search."""

from pathlib import Path

import pandas as pd
import pytest
from rich.cells import cell_len

from tests.conftest import CHECKOUT
from tests.test_data import SPEC, write_mirror
from tests.test_overview import CANARY, TEST, TRAIN, VALIDATION
from tune_sentiment.columns import Columns
from tune_sentiment.data import load_test, load_train_val
from tune_sentiment.datasets_table import DATASETS, dataset_named
from tune_sentiment.explore import main

DEMO = ["--dataset", "demo", "--model", "tiny"]


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def row_of(out: str, title: str) -> str:
    """What stands behind a title in the output."""
    rows = [line for line in out.splitlines() if line.strip().startswith(f"{title}  ")]
    assert rows, out
    return rows[0].strip().removeprefix(title)


def numbers(out: str, title: str) -> list[str]:
    return [cell.strip() for cell in row_of(out, title).split("  ") if cell.strip()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "opinions"
    made.mkdir()
    for name, rows in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(made / f"{name}.csv", index=False)
    return made


def test_a_folder_is_described_and_its_test_texts_are_not_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--dataset", str(folder), "--model", "tiny", "--text", "okapi film"]
    code, out, err = call(arguments, capsys)
    assert code == 0
    assert numbers(out, "texts") == ["7", "3", "3"]
    assert numbers(out, "bad") == ["3 (42.9 %)", "1 (33.3 %)", "1 (33.3 %)"]
    assert numbers(out, "repeated in the split") == ["3", "0", "0"]
    assert numbers(out, "also in train") == ["-", "1", "1"]
    assert numbers(out, "also in validation") == ["-", "-", "2"]
    assert "Training texts that are repeated: 2, with several labels: 1" in out
    assert "3 times  bad, good  A good film!" in out
    assert "so so indeed" in out
    for word in CANARY.split()[:2]:
        assert word not in out + err


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_of_any_format_is_cut_and_described(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"{word} number{i}", i % 3) for i, word in enumerate(["alpha", "beta", "gamma"] * 40)]
    table = pd.DataFrame(rows, columns=["opinion", "stars"])
    path = tmp_path / f"mine.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    named = ["--text-column", "opinion", "--label-column", "stars"]
    code, out, _ = call(["--dataset", str(path), "--model", "tiny", *named], capsys)
    assert code == 0
    assert numbers(out, "texts") == ["96", "12", "12"]
    spec = dataset_named(str(path), Columns(text="opinion", label="stars"))
    hidden = load_test(spec, mirror=None, seed=42).texts
    assert len(hidden) == 12
    assert not [text for text in hidden if f"{text}\n" in f"{out}\n"]


def test_a_named_dataset_comes_from_the_mirror(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = write_mirror(tmp_path)
    arguments = ["--dataset", SPEC.name, "--model", "tiny", "--data-dir", str(mirror)]
    code, out, _ = call(arguments, capsys)
    assert code == 0
    assert numbers(out, "texts") == ["4", "4", "4"]
    assert numbers(out, "positive") == ["2 (50.0 %)"] * 3
    assert "train good 3" in out
    assert "test good" not in out


def test_a_training_text_is_nearest_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    train, _ = load_train_val(DATASETS["demo"], mirror=None, train_samples=100, seed=42)
    words = ["--train-samples", "100"]
    for item in (5, 70):
        words += ["--text", train.texts[item]]
    code, out, err = call([*DEMO, *words], capsys)
    assert code == 0
    assert "100 training texts" in err
    parts = out.split("nearest of 100 of 800 training texts (--train-samples):\n")
    assert len(parts) == 3
    for item, part in zip((5, 70), parts[1:], strict=True):
        lines = part.splitlines()[:5]
        assert lines[0].split()[:2] == ["1.000", ("negative", "positive")[train.labels[item]]]
        assert train.texts[item][:40] in lines[0]
        similarities = [float(line.split()[0]) for line in lines]
        assert similarities == sorted(similarities, reverse=True)


def test_a_text_is_shown_with_ids_mask_and_shape(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call([*DEMO, "--max-length", "6", "--text", "a good film and a joy"], capsys)
    assert code == 0
    assert row_of(out, "tokens").split() == ["[CLS]", "a", "good", "film", "and", "[SEP]"]
    assert len(row_of(out, "ids").split()) == 6
    assert row_of(out, "attention mask").split() == ["1"] * 6
    assert "hidden states   (1, 6, 32), 2 more tokens are cut off" in out
    assert "over 6" in out


def test_lines_end_where_the_terminal_does(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    long = [("very " * 40 + f"good {i}", "good") for i in range(5)]
    wide = [("悪い映画" * 30 + str(i), "bad") for i in range(5)]
    pd.DataFrame([*TRAIN, *long, *wide], columns=["text", "label"]).to_csv(
        folder / "train.csv", index=False
    )
    arguments = ["--dataset", str(folder), "--model", "tiny", "--text", "good " * 100]
    code, out, _ = call(arguments, capsys)
    assert code == 0
    assert "悪い映画" in out
    shown = out[out.index("Training texts at random") :].splitlines()
    assert len(shown) > 15
    assert max(map(cell_len, shown[1:-1])) == 60


def test_what_steers_a_terminal_is_not_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*TRAIN[2:], ("a \x1b[31mred\x1b[0m film\x07", "good"), ("two\nlines", "good")]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "train.csv", index=False)
    code, out, _ = call(["--dataset", str(folder), "--model", "tiny"], capsys)
    assert code == 0
    assert "a [31mred [0m film" in out
    assert "two lines" in out
    assert not {"\x1b", "\x07"} & set(out)


def test_a_figure_is_drawn_where_it_was_asked_for_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(DEMO, capsys)[0] == 0
    assert list(tmp_path.iterdir()) == []
    code, out, _ = call([*DEMO, "--figure", "lengths.png"], capsys)
    assert code == 0
    assert "Figure: lengths.png" in out
    assert [path.name for path in tmp_path.iterdir()] == ["lengths.png"]
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_the_length_that_a_backbone_reads_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call([*DEMO, "--max-length", "1000"], capsys)
    assert code == 0
    assert "Longer texts are cut to 512, all that tiny reads." in out
    assert "over 512" in out


def test_rows_without_a_text_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*TRAIN, (" ", "bad")]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "train.csv", index=False)
    arguments = ["--dataset", str(folder), "--model", "tiny"]
    code, out, err = call(arguments, capsys)
    assert (code, out) == (2, "")
    assert "train.csv line 9: no text" in err
    code, out, _ = call([*arguments, "--drop-empty"], capsys)
    assert code == 0
    assert "opinions (splits: as given; rows without a text left out of a file: 1)" in out
    assert numbers(out, "texts") == ["7", "3", "3"]


def test_the_docs_show_what_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = (CHECKOUT / "docs" / "own-data.md").read_text(encoding="utf-8")
    shown = page[page.index("demo (splits:") : page.index('\n"a gorgeous, witty film"')]
    lines = [line for line in shown.splitlines() if line not in ("", "...")]
    assert len(lines) > 15
    code, out, _ = call(["--dataset", "demo", "--model", "minilm"], capsys)
    assert code == 0
    assert [line for line in lines if line not in out.splitlines()] == []
