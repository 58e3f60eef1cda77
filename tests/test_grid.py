"""Several datasets and models in one command: its studies, and everything that is wrong at once."""

from pathlib import Path

import pytest

import run_search
from tests.test_command_line import call
from tune_sentiment.errors import SeveralErrors, StartError, UsageError, ended_by
from tune_sentiment.options import build_parser
from tune_sentiment.sources import collected, labels, listed
from tune_sentiment.study import Study

HALVES = ("warm coffee", "cold coffee")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Three small data sets: two classes, two other ones under other columns, and three classes."""
    found = {}
    for name, header, classes in (
        ("cafes", "label\ttext", 2),
        ("trains", "label\ttext", 2),
        ("moods", "label\ttext", 3),
    ):
        rows = [f"{i % classes}\t{HALVES[i % 2]} in {name} number {i}" for i in range(120)]
        path = tmp_path / f"{name}.tsv"
        path.write_text("\n".join([header, *rows]) + "\n")
        found[name] = str(path)
    return found


def planned(tmp_path: Path, *words: str) -> list[Study]:
    usual = ["--model", "tiny", "--gpus-per-trial", "0", "--results", str(tmp_path / "results")]
    asked = [*words, *(word for word in usual if "--model" not in words or word not in usual[:2])]
    return run_search.plan(build_parser().parse_args(asked))[0]


def test_every_method_on_every_dataset_comparison_by_comparison(
    tmp_path: Path, files: dict[str, str]
) -> None:
    both = f"{files['cafes']},{files['trains']}"
    found = planned(tmp_path, "--method", "lora,full", "--dataset", both, "--trials", "5")
    assert list(labels(found).values()) == [
        "cafes svm",
        "cafes full",
        "cafes lora",
        "trains svm",
        "trains full",
        "trains lora",
    ]
    assert len({study.comparison for study in found}) == 2
    assert {study.side_by_side for study in found} == {20}  # threads follow from all trials
    assert [study.config.dataset for study in found[::3]] == both.split(",")
    again = planned(tmp_path, "--method", "lora", "--dataset", files["trains"], "--trials", "5")
    assert [study.id for study in again] == [found[3].id, found[5].id]
    assert {study.beside for study in again} == {0}


def test_a_dataset_is_read_once_for_all_models(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tune_sentiment import sources
    from tune_sentiment.backbone import load_backbone

    read, describe = [], sources.describe_splits
    monkeypatch.setattr(
        sources,
        "describe_splits",
        lambda spec, **more: read.append(spec.name) or describe(spec, **more),
    )
    models = f"tiny,{load_backbone('tiny').folder}"
    words = ["--method", "svm", "--model", models, "--dataset", files["cafes"]]
    found = planned(tmp_path, *words)
    assert read == ["cafes"]
    assert len(found) == 2
    assert [name.split()[-1] for name in labels(found).values()] == ["svm", "svm"]
    assert len(set(labels(found).values())) == 2


def test_one_dataset_in_a_list_is_the_same_study(tmp_path: Path, files: dict[str, str]) -> None:
    alone = planned(tmp_path, "--method", "svm", "--dataset", files["cafes"])
    beside = planned(
        tmp_path, "--method", "svm", "--dataset", f"{files['moods']}, {files['cafes']}"
    )
    assert alone[0].id == beside[1].id


def test_a_preset_runs_on_each_dataset(tmp_path: Path, files: dict[str, str]) -> None:
    one = planned(tmp_path, "--preset", "004", "--dataset", files["cafes"])
    two = planned(tmp_path, "--preset", "004", "--dataset", f"{files['cafes']},{files['trains']}")
    assert [study.id for study in two[: len(one)]] == [study.id for study in one]
    assert len(two) == 2 * len(one)
    assert {study.side_by_side for study in two} == {2 * study.side_by_side for study in one}
    assert len(set(labels(two).values())) == len(two)


def test_a_path_may_hold_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "good, bad.tsv"
    path.write_text("")
    assert listed("--dataset", str(path)) == [str(path)]
    assert listed("--dataset", "demo, sst2,") == ["demo", "sst2"]
    assert listed("--dataset", "") == [""]
    with pytest.raises(UsageError, match="--dataset names 'demo' twice"):
        listed("--dataset", "demo,sst2,demo")


def test_everything_that_is_wrong_is_named_before_anything_starts(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    words = ["--method", "svm", "--model", "tiny", "--results", str(results)]
    wrong = f"demmo,{files['cafes']},no/such.csv"
    code, out, err = call([*words, "--dataset", wrong], capsys)
    assert (code, out, err.count("\n")) == (2, "", 2)
    assert "error: unknown dataset 'demmo'" in err
    assert "no/such.csv: no such file" in err
    torn = tmp_path / "torn.tsv"
    torn.write_text("label\ttext\n1\tfine\n0\tone\ttoo many\n")
    models = ["--model", "tiny,minillm"]
    code, _, err = call([*words[:2], *words[4:], *models, "--dataset", files["cafes"]], capsys)
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = call([*words, "--dataset", f"{torn},demo", "--trials", "0"], capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert not results.exists()


def test_a_value_that_one_dataset_refuses_is_told_with_its_name(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "full", "--model", "tiny", "--results", str(tmp_path / "results")]
    every = ",".join(["demo", *files.values()])
    code, _, err = call([*words, "--dataset", every, "--train-samples", "500"], capsys)
    assert code == 2
    assert len(err.splitlines()) == 3  # demo has 800
    for path in files.values():
        assert f"error: {path} with tiny: train_samples <= 96 must hold, got 500" in err
    code, _, err = call([*words, "--dataset", every, "--metric", "val_f1"], capsys)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "moods has 3" in err


def test_columns_are_for_files_and_a_named_dataset_keeps_its_own(
    tmp_path: Path, files: dict[str, str]
) -> None:
    other = Path(files["trains"])
    other.write_text(other.read_text().replace("label\ttext", "verdict\twords"))
    named = ["--text-column", "words", "--label-column", "verdict"]
    found = planned(tmp_path, "--method", "svm", "--dataset", f"demo,{other}", *named)
    assert [study.source.dataset.name for study in found] == ["demo", "trains"]
    with pytest.raises(UsageError, match="cafes"):
        planned(tmp_path, "--method", "svm", "--dataset", f"{files['cafes']},{other}", *named)
    with pytest.raises(UsageError, match="'demo' are known"):
        planned(tmp_path, "--method", "svm", "--dataset", "demo", *named)


def test_two_files_of_one_name_are_refused(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "cafes.tsv"
    twin.write_text(Path(files["trains"]).read_text())
    with pytest.raises(UsageError, match="two datasets are called 'cafes'"):
        planned(tmp_path, "--method", "svm", "--dataset", f"{files['cafes']},{twin}")


def test_one_error_stays_itself_and_several_are_a_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(StartError, match="the hub"):
        collected(fail, [StartError("the hub")])
    with pytest.raises(SeveralErrors) as raised:
        collected(fail, [StartError("the hub"), UsageError("a\nname")])
    assert ended_by(raised.value) == 2
    assert capsys.readouterr().err == "error: the hub\nerror: a name\n"
    assert collected(str, [1, 2]) == ["1", "2"]
