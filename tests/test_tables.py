from pathlib import Path

import pandas as pd
import pytest

from analysis import settings
from analysis.answers import pairs, sides
from analysis.classes import confusion, per_class
from analysis.load import LoadedStudy, load_studies
from analysis.report import markdown
from analysis.tables import comparison, search_seconds
from tests.ledgers import answers, description, trial, write
from tune_sentiment.ledger import StudyFolder


@pytest.fixture
def svm(tmp_path: Path) -> LoadedStudy:
    return write(tmp_path, "svm", [trial(0, 0.70), trial(1, 0.725)], [0.7])


@pytest.fixture
def lora(tmp_path: Path) -> LoadedStudy:
    trials = [
        trial(0, 0.8),
        trial(1, 0.85),
        trial(2, 0.6, status="pruned", evaluations_run=1),
        trial(3, None, status="oom", evaluations_run=0),
    ]
    return write(tmp_path, "lora", trials, [0.80, 0.82, 0.84])


def row(studies: list[LoadedStudy], method: str) -> dict[str, str]:
    table = comparison(studies)
    names = table["method"].str.removesuffix(" *")
    return {**table[names == method].iloc[0], "method": method}


def test_a_row_says_what_the_records_say(lora: LoadedStudy, svm: LoadedStudy) -> None:
    found = row([lora, svm], "lora")
    assert found["validation accuracy (selected, optimistic)"] == "85.0"
    assert found["test accuracy"] == "82.0 ± 2.0 (n=3)"
    assert found["precision"] == found["recall"] == found["F1"] == "82.0 ± 2.0"
    assert found["difference to svm"].startswith("+12.0 [+")
    assert found["is it real?"] == "better than svm, p below 0.001"
    assert found["trainable parameters"] == "250 (0.25 %)"
    assert found["trials"] == "4: 2 finished, 1 pruned, 1 oom"
    assert found["search device-seconds"] == "90"
    assert found["saved by early stopping"] == "33 %"  # 2 evaluations of 11.25 s saved, 90 spent


def test_what_stopping_early_saved_is_what_the_trial_would_have_gone_on_to_cost(
    lora: LoadedStudy,
) -> None:
    assert search_seconds(lora) == pytest.approx((90.0, 45.0))


def test_the_baseline_comes_first_and_a_majority_class_last(
    lora: LoadedStudy, svm: LoadedStudy
) -> None:
    table = comparison([lora, svm])
    assert list(table["method"]) == ["svm", "lora *", "majority class"]
    assert row([lora, svm], "svm")["test accuracy"] == "70.0 (deterministic)"
    assert row([lora, svm], "svm")["difference to svm"] == "-"
    assert row([lora, svm], "majority class")["test accuracy"] == "50.0"


def test_two_identical_sets_of_predictions_show_no_difference(tmp_path: Path) -> None:
    for method in ("full", "lora"):
        write(tmp_path, method, [trial(0, 0.8)], [0.8, 0.82])
    [pair] = pairs(sides(load_studies([tmp_path])))
    assert (pair.estimate.value, pair.mcnemar) == (0.0, 1.0)
    table = settings.all_pairs(load_studies([tmp_path]))
    assert list(table["is it real?"]) == ["no difference shown"]
    assert list(comparison(load_studies([tmp_path]))["method"])[:2] == ["full *", "lora *"]


def test_the_difference_of_two_methods_is_that_of_their_predictions(
    lora: LoadedStudy, svm: LoadedStudy
) -> None:
    [pair] = pairs(sides([lora, svm]))
    assert (pair.a.name, pair.b.name) == ("lora", "svm")
    assert pair.estimate.value == pytest.approx(0.12)
    assert pair.estimate.low < 0.12 < pair.estimate.high


def test_a_single_seed_has_no_spread_and_a_missing_one_is_named(tmp_path: Path) -> None:
    one = write(tmp_path, "lora", [trial(0, 0.8)], [0.8])
    found = row([one], "lora")
    assert found["test accuracy"] == "80.0 (n=1: 1 seed, no spread)"
    assert found["95 % interval"] == "-"
    two_of_three = write(tmp_path, "full", [trial(0, 0.8)], [0.8, None, 0.9])
    assert row([two_of_three], "full")["test accuracy"] == "85.0 ± 7.1 (n=2 of 3)"


def test_one_seed_of_a_method_says_nothing_of_the_method(tmp_path: Path, svm: LoadedStudy) -> None:
    one = write(tmp_path, "lora", [trial(0, 0.8)], [0.9])
    found = row([one, svm], "lora")
    assert (found["difference to svm"], found["is it real?"]) == ("-", "one seed: not said")
    assert pairs(sides([one, svm])) == []


def test_predictions_that_are_missing_or_of_other_texts_give_no_interval(tmp_path: Path) -> None:
    made = write(tmp_path, "lora", [trial(0, 0.8)], [0.8, 0.82, 0.84])
    folder = StudyFolder(made.path)
    path = folder.predictions_file(made.scored[1]["key"], "test")
    whole = pd.read_parquet(path)
    for harmed in (whole.iloc[:-1], whole.assign(label=1 - whole["label"]), None):
        path.unlink() if harmed is None else harmed.to_parquet(path)
        [again] = load_studies([tmp_path])
        assert row([again], "lora")["95 % interval"] == "-"
        assert any(path.name in gap for gap in again.gaps)
    whole.sample(frac=1, random_state=1).to_parquet(path)
    assert row(load_studies([tmp_path]), "lora")["95 % interval"].startswith("[")


def test_the_baseline_is_one_that_has_test_scores(tmp_path: Path) -> None:
    write(tmp_path, "svm", [trial(0, 0.7)], name="a-svm", seed=1)
    write(tmp_path, "svm", [trial(0, 0.7)], [0.7], name="b-svm")
    write(tmp_path, "lora", [trial(0, 0.8)], [0.8, 0.82])
    assert row(load_studies([tmp_path]), "lora")["difference to svm"].startswith("+11.0")


def test_the_row_is_that_of_the_trial_that_was_decided_on(tmp_path: Path) -> None:
    trials = [trial(0, 0.8), trial(1, 0.85)]
    made = write(tmp_path, "lora", trials, [0.8, 0.82])
    assert made.winner is not None
    assert made.winner["number"] == 1
    StudyFolder(made.path).write_selection("k0", ["k0", "k1"], ["k0", "k1"])
    [again] = load_studies([tmp_path])
    assert again.winner is not None
    assert again.winner["number"] == 0
    assert again.confirmations == []


def test_what_was_not_measured_is_a_dash(tmp_path: Path, svm: LoadedStudy) -> None:
    bare = {"num_trainable_params": None, "evaluations_run": 0}
    failed = write(tmp_path, "lora", [trial(0, None, status="failed", **bare)])
    made = row([failed, svm], "lora")
    assert made["test accuracy"] == made["difference to svm"] == made["trainable parameters"] == "-"
    assert made["trials"] == "1: 1 failed"


@pytest.mark.parametrize(
    ("trainable", "text"),
    [
        (100_000, "100,000 (100 %)"),
        (250, "250 (0.25 %)"),
        (1, "1 (0.001 %)"),
        (55_000, "55,000 (55 %)"),
    ],
)
def test_the_share_of_trainable_parameters_reads_well(
    trainable: int, text: str, tmp_path: Path
) -> None:
    made = write(tmp_path, "lora", [trial(0, 0.8, num_trainable_params=trainable)])
    assert row([made], "lora")["trainable parameters"] == text


def test_a_loss_is_not_a_percentage(tmp_path: Path) -> None:
    trials = [trial(0, 0.5, val_loss=0.61), trial(1, 0.5, val_loss=0.42)]
    made = write(tmp_path, "lora", trials, metric="val_loss", mode="min")
    assert made.winner is not None
    assert made.winner["number"] == 1
    assert row([made], "lora")["validation loss (selected, optimistic)"] == "0.4200"


def test_two_studies_of_a_method_are_named_by_what_differs(
    tmp_path: Path, svm: LoadedStudy
) -> None:
    made = [
        write(tmp_path, "lora", [trial(0, 0.8)], name=f"lora-{lr}", space={"fixed": {"lr": lr}})
        for lr in (1e-4, 1e-3)
    ]
    names = list(comparison([*made, svm])["method"])
    assert names == ["svm", "lora (lr=0.0001)", "lora (lr=0.001)", "majority class"]


def test_a_winners_command_runs_exactly_its_configuration(lora: LoadedStudy) -> None:
    [found] = settings.winners([lora]).to_dict("records")
    assert found["configuration"] == "lr=0.0001, rank=8"
    command = "--method lora --dataset demo --model tiny --fix lr=0.0001 --fix rank=8 --trials 1"
    assert f"{command} --max-epochs 3" in found["command"]
    assert "--confirm-seeds 3 " in found["command"]
    assert found["command"].endswith("--results replay")


def test_run_times_are_by_padding_and_device(lora: LoadedStudy) -> None:
    [found] = settings.runtime([lora]).to_dict("records")
    assert (found["padding"], found["device"], found["trials"]) == ("fixed", "cpu", "3")
    assert found["seconds per epoch"] == "6.7"


def test_the_grid_has_a_column_for_each_dataset(tmp_path: Path, lora: LoadedStudy) -> None:
    other = {"dataset": "sst2", "comparison": "d", "name": "elsewhere"}
    write(tmp_path, "lora", [trial(0, 0.9)], [0.9], **other)
    found = settings.grid(load_studies([tmp_path])).set_index("method")
    assert sorted(found.loc["lora"]) == ["82.0 (n=3)", "90.0 (n=1)"]


def test_more_than_two_classes_get_tables_of_their_own(tmp_path: Path) -> None:
    names = ["calm", "joy | fun", "<b>rage</b>"]
    made = write(tmp_path, "lora", [trial(0, 0.9)], [0.75, 0.5], classes=names)
    folder = StudyFolder(made.path)
    for run, predicted in zip(made.confirmations, ([0, 1, 2, 2], [0, 1, 1, 0]), strict=True):
        columns = {"label": [0, 1, 2, 1], "predicted": predicted}
        table = pd.DataFrame({"index": range(4), **columns})
        table.to_parquet(folder.predictions_file(run["key"], "test"))
    [loaded] = load_studies([tmp_path])
    found = per_class(loaded).set_index("class")
    assert dict(found.loc["joy | fun"]) == {
        "precision": "66.7",  # said 3 times, twice rightly
        "recall": "50.0",  # 2 of the 4 over both runs
        "F1": "57.1",
        "test texts": "2",
    }
    counts = confusion(loaded).drop(columns="true class").to_numpy().tolist()
    assert counts == [[2, 0, 0], [1, 2, 1], [0, 1, 1]]
    text = markdown([loaded])
    assert "joy \\| fun" in text
    assert "<b>" not in text


def test_the_helper_writes_the_share_of_right_answers_that_it_says() -> None:
    made = answers(0.8, 3)
    assert (made.labels == made.predicted).mean() == 0.8
    assert description("svm")["plan"] == {}
