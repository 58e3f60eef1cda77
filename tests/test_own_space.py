"""A search space of the user's own, in a file."""

from pathlib import Path

import pytest

from run_search import main
from search_spaces import SPACES
from tests.conftest import CHECKOUT
from tune_sentiment.own_space import check, extremes, load_space
from tune_sentiment.space import SearchSpace

HEAD = "from ray import tune\nfrom tune_sentiment.space import SearchSpace\n"
REST = '"batch_size": tune.choice([8]), "warmup_ratio": tune.uniform(0, 0.1)'
GOOD = f"""{HEAD}
SPACE = SearchSpace(
    method="full",
    params={{"lr": tune.loguniform(1e-5, 1e-3), {REST}}},
    fixed={{"weight_decay": 0.0}},
)
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "my_space.py"
    path.write_text(text)
    return path


def test_a_file_with_a_space_is_taken(tmp_path: Path) -> None:
    space = load_space(written(tmp_path, GOOD))
    assert set(space.params) == {"lr", "batch_size", "warmup_ratio"}
    assert space.example() == {
        "lr": pytest.approx(1e-4),
        "batch_size": 8,
        "warmup_ratio": pytest.approx(0.05),
    }


@pytest.mark.parametrize("method", SPACES)
def test_our_own_spaces_pass_the_same_check(method: str) -> None:
    check(SPACES[method])
    assert len(list(extremes(SPACES[method]))) > len(SPACES[method].params)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("SPACE = ", "SPACES = "), "no SPACE"),
        (("SPACE = SearchSpace(", "SPACE = dict("), "SPACE is a dict"),
        (("SPACE = ", "SPACE == "), "line 4: NameError: name 'SPACE' is not defined"),
        (("SPACE = SearchSpace(", "SPACE = SearchSpace"), "line 5: unexpected indent"),
        (('"full"', '"ful"'), "unknown method 'ful'. Did you mean 'full'?"),
        (('"lr"', '"learning_rate"'), "unknown hyperparameter 'learning_rate'"),
        (('"lr": tune.loguniform(1e-5, 1e-3), ', ""), "no domain for the hyperparameters lr"),
        (("tune.loguniform(1e-5, 1e-3)", "tune.uniform(-1e-5, 1e-3)"), "lr > 0 must hold, got -1e"),
        (("tune.uniform(0, 0.1)", "tune.uniform(0, 1.5)"), "0 <= warmup_ratio < 1 must hold"),
        (("tune.loguniform(1e-5, 1e-3)", "tune.grid_search([1e-3])"), "rid search"),
        (("tune.loguniform(1e-5, 1e-3)", "1e-3"), "lr=0.001 is no domain"),
        (("tune.choice([8])", "tune.choice([8, 0])"), "batch_size >= 1 must hold, got 0"),
        (("SPACE = ", "import sys; sys.exit(0)\nSPACE = "), "line 4: SystemExit: 0"),
        (("SPACE = ", "open('nothere')\nSPACE = "), "line 4: FileNotFoundError"),
        (("tune.choice([8])", "tune.uniform(8, 32)"), "batch_size wants whole numbers, got"),
        (("tune.choice([8])", "tune.choice([True])"), "batch_size wants whole numbers, got True"),
        (("tune.loguniform(1e-5, 1e-3)", "tune.choice(['a'])"), "lr wants numbers, got 'a'"),
        (('{"weight_decay": 0.0}', '{"weight_decay": "0"}'), "weight_decay wants numbers, got '0'"),
        (('{"weight_decay": 0.0}', "5"), "fixed=5 is no dict"),
        (('"full"', '["full"]'), "method=['full'] is no name"),
        (("weight_decay", "lr"), "lr is both searched and pinned"),
        (("fixed=", "start=[{'lr': 1.0}], fixed="), "a start point names ['lr']"),
        (
            ("fixed=", "prior=[{'lr': 1e-4, 'batch_size': 8, 'warmup_ratio': 0.0}], fixed="),
            "prior is for --warm-start to fill",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(
    change: tuple[str, str],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert change[0] in GOOD
    path = written(tmp_path, GOOD.replace(*change))
    assert main(["--space", str(path), "--dataset", "demo", "--model", "tiny"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}")
    assert reason in said
    assert said.count("\n") == 1


def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.py"
    assert main(["--space", str(missing), "--dataset", "demo", "--model", "tiny"]) == 2
    assert capsys.readouterr().err == f"error: {missing}: No such file or directory\n"


def test_the_space_of_another_method_than_the_searched_ones_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, GOOD)
    command = ["--space", str(path), "--method", "lora", "--dataset", "demo", "--model", "tiny"]
    assert main(command) == 2
    assert f"{path} is full's, --method names lora" in capsys.readouterr().err


def test_a_dry_run_shows_the_file_s_space_and_another_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, GOOD)
    command = [
        "--dataset",
        "demo",
        "--model",
        "tiny",
        "--dry-run",
        "--results",
        str(tmp_path / "r"),
    ]
    assert main(["--space", str(path), *command]) == 0
    own = capsys.readouterr().out
    assert main(["--method", "full", *command]) == 0
    usual = capsys.readouterr().out
    assert "demo-tiny-full-" in own
    assert "demo-tiny-svm-" in own
    assert own.split("demo-tiny-full-")[1][:10] != usual.split("demo-tiny-full-")[1][:10]
    assert own.split("demo-tiny-svm-")[1][:10] == usual.split("demo-tiny-svm-")[1][:10]


def test_the_documented_example_is_taken(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "own-data.md").read_text(encoding="utf-8")
    code = next(part for part in page.split("```python\n")[1:] if "SPACE =" in part)
    space = load_space(written(tmp_path, code.partition("```")[0]))
    assert set(space.params) == {"lr", "rank", "variant"}


def test_a_list_is_run_whole_and_nothing_else(tmp_path: Path) -> None:
    listed = GOOD.replace(
        "fixed=",
        "is_listed=True, start=[{'lr': 1e-4, 'batch_size': 8, 'warmup_ratio': w} "
        "for w in (0.0, 0.0, *(0.1 * i / 30 for i in range(1, 30)))], fixed=",
    )
    space = load_space(written(tmp_path, listed))
    assert len(space.start) == 31
    assert space.size() == 30  # one stands twice


def test_the_middle_of_a_space_without_start_points_lies_in_it() -> None:
    space = SPACES["lora"]
    bare = SearchSpace(method="lora", params=space.params)
    SearchSpace(method="lora", params=space.params, start=[bare.example()])
