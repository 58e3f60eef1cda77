"""Using a winner: texts in, classes out, for each method's kind of folder."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import BAD, GOOD
from tests.methods.test_contract import CLASSES, inputs_for, proposal_for, setup_for
from tune_sentiment.backbone import Backbone
from tune_sentiment.methods import METHODS
from tune_sentiment.metrics import softmax
from tune_sentiment.predict import SHOWN_TEXTS, main, plain_cell
from tune_sentiment.predictor import load_winner
from tune_sentiment.reader import read_table
from tune_sentiment.reports import Objective, evaluations_of
from tune_sentiment.tokens import Tokens
from tune_sentiment.winner import export

TEXTS = [*GOOD, *BAD]


def made_winner(
    method: str, backbone: Backbone, eight: Tokens, study: Path, **changes: object
) -> np.ndarray:
    """Train a little, export the winner, and return what the classifier said of the texts."""
    setup, proposal = setup_for(method, backbone), proposal_for(method, **changes)
    inputs = inputs_for(method, backbone, eight)
    *_, last = evaluations_of(setup, proposal, inputs, inputs, Objective("max"))
    study.mkdir(exist_ok=True)
    save_file(last.classifier.tensors(), study / "run.safetensors")
    export(setup, proposal, study / "run.safetensors", study / "winner")
    scores = last.classifier.scores(inputs)
    return softmax(scores) if last.classifier.has_probabilities else scores


@pytest.mark.parametrize("method", METHODS)
def test_a_winner_says_of_texts_what_the_trained_classifier_said(
    method: str, backbone: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    expected = made_winner(method, backbone, eight, tmp_path)
    predictor = load_winner(tmp_path)
    np.testing.assert_allclose(predictor.scores(TEXTS), expected, atol=1e-4)
    assert predictor.classes == CLASSES
    assert predictor(TEXTS) == [CLASSES[i] for i in expected.argmax(axis=1)]
    assert load_winner(tmp_path / "winner")(TEXTS) == predictor(TEXTS)
    assert predictor.scores([]).shape == (0, 2)


@pytest.mark.parametrize("variant", ["rslora", "dora", "pissa"])
def test_so_does_a_winner_of_each_variant_of_lora(
    variant: str, tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    expected = made_winner("lora", tiny, eight, tmp_path, variant=variant, lr=1e-2)
    np.testing.assert_allclose(load_winner(tmp_path).scores(TEXTS), expected, atol=1e-4)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny: Backbone, eight: Tokens) -> Path:
    folder = tmp_path_factory.mktemp("study")
    made_winner("lora", tiny, eight, folder)
    return folder


def test_texts_of_the_command_line_come_back_with_class_and_probability(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(study), *TEXTS]) == 0
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert [row[2] for row in rows] == TEXTS
    scores = load_winner(study).scores(TEXTS)
    assert [row[0] for row in rows] == [CLASSES[i] for i in scores.argmax(axis=1)]
    assert [row[1] for row in rows] == [f"{p:.3f}" for p in scores.max(axis=1)]


def piped(study: Path, lines: str, **environment: str) -> list[str]:
    """The texts that come back."""
    command = [sys.executable, "-m", "tune_sentiment.predict", str(study)]
    done = subprocess.run(
        command,
        input=lines.encode(),
        capture_output=True,
        check=True,
        env={**os.environ, **environment},
    )
    return [line.split(maxsplit=2)[2] for line in done.stdout.decode().splitlines()]


def test_lines_of_stdin_are_texts_and_blank_ones_are_not(study: Path) -> None:
    lines = "\ufeffa lovely film\n\n  \ná dull \x1b[31mfilm\n"
    assert piped(study, lines) == ["a lovely film", "á dull [31mfilm"]
    assert piped(study, "á film\n", PYTHONIOENCODING="ascii") == ["? film"]


def test_of_many_lines_none_is_lost(study: Path) -> None:
    lines = [f"film {number}" for number in range(2 * SHOWN_TEXTS + 3)]
    assert piped(study, "\n".join(lines)) == lines


def test_a_csv_keeps_its_columns_and_order_and_gets_two_more(study: Path, tmp_path: Path) -> None:
    source, made = tmp_path / "reviews.csv", tmp_path / "made.csv"
    source.write_text('id,review\n7,"a joy, to watch"\n8,  \n9,a dull film\n')
    assert main([str(study), "--file", str(source), "--output", str(made)]) == 0
    rows = list(csv.DictReader(io.StringIO(made.read_text())))
    assert [row["id"] for row in rows] == ["7", "8", "9"]
    assert rows[0]["review"] == "a joy, to watch"
    assert (rows[1]["predicted"], rows[1]["probability"]) == ("", "")
    scores = load_winner(study).scores(["a joy, to watch", "a dull film"])
    assert [rows[i]["predicted"] for i in (0, 2)] == [CLASSES[i] for i in scores.argmax(axis=1)]
    shown = [float(rows[i]["probability"]) for i in (0, 2)]
    np.testing.assert_allclose(shown, scores.max(axis=1), rtol=1e-4)


def test_what_is_written_is_read_again_as_it_was(study: Path, tmp_path: Path) -> None:
    source, made = tmp_path / "odd.csv", tmp_path / "made.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["text"], ["two\rlines"], ["and\ntwo"], ['a "quote", too']])
    assert main([str(study), "--file", str(source), "--output", str(made)]) == 0
    again = read_table(made, "utf-8")
    assert [row[0] for row in again.rows] == ["two\rlines", "and\ntwo", 'a "quote", too']


def test_without_output_the_csv_goes_to_stdout_alone(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few.tsv").write_text("text\tlabel\na lovely film\tgood\n")
    assert main([str(study), "--file", str(tmp_path / "few.tsv")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "text,label,predicted,probability"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd", "'+1+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2.5", "-2.5"),
        ("- not good", "'- not good"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("fine = good", "fine = good"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(cell: str, written: str) -> None:
    assert plain_cell(cell) == written


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["no/such/study", "a"], "no/such/study is not a folder"),
        (["{study}", "a", "--push", "me/model"], "exclude one another"),
        (["{study}", "--file", "none.csv"], "none.csv: no such file"),
        (["{study}", "--file", "{table}", "--text-column", "body"], "no column 'body'"),
        (["{study}", "--file", "{table}"], "no text column found; name it with --text-column"),
        (
            ["{study}", "--file", "{table}", "--text-column", "b"],
            "has a column 'predicted' already",
        ),
        (["{empty}", "a"], "has no winner; studies with one in it: some-study"),
        (["{study}", "--file", "{table}", "--output", "{table}"], "would overwrite --file"),
        (["{study}", "--file", "{table}", "--output", "made.tsv"], "--output wants a .csv file"),
        (["{study}", "caf\udce9"], "a text is not utf-8"),
        (["{empty}/some-study", "a"], "does not say what this version"),
        (["{study}", "a", "--output", "x.csv"], "--output and --text-column belong to --file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str],
    reason: str,
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "odd.csv").write_text("b,predicted\n1,2\n")
    (tmp_path / "all" / "some-study" / "winner").mkdir(parents=True)
    (tmp_path / "all" / "some-study" / "winner" / "winner.json").write_text("{}")
    places = {"study": study, "table": tmp_path / "odd.csv", "empty": tmp_path / "all"}
    assert main([word.format(**places) for word in words]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
