import json
import shutil
from pathlib import Path

import pytest

import run_search
from search_spaces import SPACES
from tune_sentiment import options
from tune_sentiment.asked import fixed_values
from tune_sentiment.backbone import load_backbone
from tune_sentiment.durable import write_json
from tune_sentiment.errors import UsageError
from tune_sentiment.ledger import StudyFolder

GOOD = ["--method", "lora", "--dataset", "demo", "--model", "tiny"]


def others(options: list[str], given: list[str]) -> list[str]:
    """The options, two words each, without those that are given."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return [word for pair in pairs if pair[0] not in given for word in pair]


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = run_search.main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--method", "lorra"],
            "unknown method 'lorra'. Did you mean 'lora'? Methods: adapters",
        ),
        (["--method", "svm,fulll"], "unknown method 'fulll'. Did you mean 'full'"),
        (["--method", ""], "no method given"),
        (["--method", ","], "no method given"),
        (["--dataset", "rotten_tomatos"], "Did you mean 'rotten_tomatoes'? Datasets: ag_news"),
        (["--model", "minillm"], "unknown model 'minillm'"),
        (["--metric", "val_acuracy"], "Did you mean 'val_accuracy'"),
        (["--metric", "test_accuracy"], "unknown metric 'test_accuracy'"),
        (["--method", "svm", "--metric", "val_loss"], "svm has no probabilities"),
        (["--trials", "0"], "trials >= 1 must hold, got 0"),
        (["--trials", "many"], "invalid int value: 'many'"),
        (["--max-epochs", "-1"], "max_epochs >= 1 must hold, got -1"),
        (["--confirm-seeds", "-1"], "confirm_seeds >= 0 must hold"),
        (["--train-samples", "1"], "train_samples >= 2 must hold, got 1"),
        (["--train-samples", "100000"], "train_samples <= 800 must hold, got 100000"),
        (["--max-length", "2"], "max_length >= 4 must hold, got 2"),
        (["--padding", "bucket"], "Did you mean 'bucketed'"),
        (["--precision", "fp8"], "unknown precision 'fp8'"),
        (["--seed", "-3"], "seed"),
        (["--time-budget-minutes", "nan"], "time_budget_minutes > 0 must hold, got nan"),
        (["--concurrency", "0"], "concurrency >= 1 must hold, got 0"),
        (["--gpus-per-trial", "-1"], "gpus_per_trial >= 0 must hold, got -1.0"),
        (["--fix", "lr"], "--fix wants NAME=VALUE, got 'lr'"),
        (["--fix", "lr="], "--fix wants NAME=VALUE, got 'lr='"),
        (["--fix", "rnak=8"], "unknown hyperparameter 'rnak'. Did you mean 'rank'"),
        (["--fix", "rank=8.5"], "rank must be a whole number, got '8.5'"),
        (["--fix", "lr=-1"], "lr > 0 must hold, got -1.0"),
        (["--fix", "targets=qkv"], "unknown targets 'qkv'"),
        (["--fix", "lr=1e-4", "--fix", "lr=1e-3"], "--fix lr is given twice"),
        (["--name", "../x"], "--name wants letters"),
        (["--data-dir", "/no/such/folder"], "not a folder"),
        (["--trails", "3"], "unrecognized arguments: --trails"),
        (["--method", "SVM"], "Did you mean 'svm'"),
        (["--method", "freze"], "Did you mean 'freeze'"),
        (["--method", "adapter"], "Did you mean 'adapters'"),
        (["--dataset", ""], "unknown dataset ''"),
        (["--dataset", "no/such/file.csv"], "no such file"),
        (["--dataset", "reviews.xlsx"], "unknown dataset 'reviews.xlsx'"),
        (["--dataset", "sst-2"], "Did you mean 'sst2'"),
        (["--dataset", "a/b/c"], "a hub id (owner/name), a file or a folder"),
        (["--dataset", "tests"], "no train file"),
        (["--dataset", "README.md"], "unknown format '.md'"),
        (["--encoding", "utf-9"], "unknown encoding 'utf-9'. Did you mean 'utf-8'?"),
        (["--text-column", "review"], "the columns and encoding of 'demo' are known"),
        (["--encoding", "latin-1"], "the columns and encoding of 'demo' are known"),
        (["--model", ""], "unknown model ''"),
        (["--model", "tests"], "no readable config.json"),
        (["--metric", ""], "unknown metric ''"),
        (["--method", "all", "--metric", "val_loss"], "svm has no probabilities"),
        (["--trials", "-5"], "trials >= 1 must hold, got -5"),
        (["--trials", "2.5"], "invalid int value: '2.5'"),
        (["--trials"], "expected one argument"),
        (["--trials", "3", "--trials", "4"], "--trials is given twice"),
        (["--max-epochs", "0"], "max_epochs >= 1 must hold, got 0"),
        (["--max-epochs", "1e3"], "invalid int value"),
        (["--time-budget-minutes", "0"], "time_budget_minutes > 0 must hold"),
        (["--time-budget-minutes", "-1"], "time_budget_minutes > 0 must hold"),
        (["--time-budget-minutes", "inf"], "time_budget_minutes > 0 must hold"),
        (["--train-samples", "0"], "train_samples >= 2 must hold, got 0"),
        (["--train-samples", "799"], "must leave 2 texts or more"),
        (["--seed", "4294967296"], "0 <= seed < 2**31 must hold"),
        (["--seed", "1.5"], "invalid int value"),
        (["--gpus-per-trial", "1.5"], "gpus_per_trial <= 1 or whole"),
        (["--gpus-per-trial", "half"], "a number or auto, got 'half'"),
        (["--gpus-per-trial", "nan"], "gpus_per_trial >= 0 must hold"),
        (["--cpus-per-trial", "0"], "cpus_per_trial >= 1 must hold"),
        (["--fix", "=3"], "unknown hyperparameter ''"),
        (["--fix", ""], "--fix wants NAME=VALUE"),
        (["--fix", "lr=1e309"], "lr > 0 must hold, got inf"),
        (["--fix", "lr=1e-5x"], "lr must be a number, got '1e-5x'"),
        (["--fix", "lr=nan"], "lr > 0 must hold, got nan"),
        (["--fix", "rank=0"], "rank >= 1"),
        (["--fix", "batch_size=0"], "batch_size >= 1 must hold, got 0"),
        (["--fix", "dropout=1"], "0 <= dropout < 1 must hold"),
        (["--fix", "warmup_ratio=-0.1"], "0 <= warmup_ratio < 1 must hold"),
        (["--fix", "C=1"], "lora: no hyperparameter 'C'; svm has it"),
        (["--fix", "bottleneck=8"], "lora: no hyperparameter 'bottleneck'; adapters has it"),
        (["--fix", "schedule=step"], "unknown schedule 'step'"),
        (["--dataset", "x" * 300], "unknown dataset 'xxx"),
        (["--dataset", "~nouser-here/x.csv"], "no such user"),
        (["--model", "x" * 300], "unknown model 'xxx"),
        (["--data-dir", "~nouser-here/x"], "no such user"),
        (["--dataset", "owner/name", "--trials", "0"], "trials >= 1 must hold, got 0"),
        (["--name", "/abs"], "--name wants letters"),
        (["--name", ".."], "--name wants letters"),
        (["--name", "a/b"], "--name wants letters"),
        (["--name", " "], "--name wants letters"),
        (["--name", ".hidden"], "--name wants letters"),
        (["--name", "x" * 300], "--name wants letters"),
        (["--name", "two\nlines"], "--name wants letters"),
        (["--name", ""], "--name wants letters"),
        (["--results", "ftp://bucket/x"], "no object store is called ftp://. Known: s3://, gs://"),
        (["--results", "s3://me:mine@bucket"], "a URI is like s3://bucket/prefix"),
        (["--warm-start", "no-such-folder"], "--warm-start no-such-folder: there is no such"),
        (["--warm-start", "README.md"], "--warm-start README.md: there is no such folder"),
        (["--warm-start", "~nouser-here/x"], "no such user"),
        (["--warm-start", "x" * 300], "there is no such folder"),
        (["--warm-start", "s3://me:mine@bucket"], "a URI is like s3://bucket/prefix"),
        (["positional"], "unrecognized arguments: positional"),
        (["--track", "wandbb"], "Did you mean 'wandb'? Trackers: comet, mlflow, tensorboard"),
        (["--track", ","], "no tracker given"),
        (["--track", ""], "no tracker given"),
        (["--track-project", "a/b"], "--track-project wants letters"),
        (["--track-project", ""], "--track-project wants letters"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_2_and_nothing_is_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    ours = [word for word in ["--results", str(results)] if "--results" not in arguments]
    code, out, err = call([*others(GOOD, arguments), *arguments, *ours], capsys)
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""
    assert not results.exists()


def test_a_missing_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(["--method", "lora"], capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "--dataset" in err


def test_help_names_every_method_and_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(["--help"], capsys)
    assert code == 0
    for word in (
        "svm full freeze lora adapters",
        "rotten_tomatoes",
        "distilbert",
        "val_accuracy",
        "bucketed",
    ):
        assert word in out


def test_a_model_that_is_neither_here_nor_on_the_hub_is_exit_3(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = call([*GOOD[:4], "--results", str(tmp_path)], capsys)
    assert code == 3
    assert "--model minilm" in err


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    arguments = ["--fix", "rank=8", "--train-samples", "100", "--results", str(results)]
    code, out, _ = call([*GOOD, *arguments, "--dry-run"], capsys)
    assert code == 0
    assert "demo-tiny-svm-" in out
    assert "demo-tiny-lora-" in out
    assert "pinned       rank=8" in out
    assert "100 train, 200 validation (0.0 %), 200 test (0.0 %)" in out
    assert "if no trial is stopped early" in out
    assert "0 done, 20 to run" in out
    assert not results.exists()


def test_a_tracker_that_is_not_installed_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune_sentiment.trackers.find_spec", lambda package: None)
    results = tmp_path / "results"
    code, out, err = call([*GOOD, "--track", "comet", "--results", str(results)], capsys)
    assert (code, out) == (2, "")
    assert err == ("error: tracker 'comet' is not installed: pip install 'tune_sentiment[comet]'\n")
    assert not results.exists()


def test_the_time_that_trackers_get_is_checked_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_SENTIMENT_TRACKING_SECONDS", "soon")
    results = tmp_path / "results"
    code, _, err = call([*GOOD, "--track", "mlflow", "--results", str(results)], capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert not results.exists()


def studies(arguments: list[str], results: Path, model: str = "tiny") -> list[str]:
    command = [*GOOD[:-1], model, *arguments, "--results", str(results)]
    parsed = options.build_parser().parse_args(command)
    found, _, _ = run_search.plan(parsed)
    return [study.id for study in found]


def test_the_identity_ignores_what_cannot_change_a_result(tmp_path: Path) -> None:
    first = studies([], tmp_path)
    same = ["--trials", "7", "--confirm-seeds", "1", "--concurrency", "1", "--name", "mine"]
    assert studies([*same, "--time-budget-minutes", "5"], tmp_path) == first
    assert studies(["--track", "wandb", "--track-project", "x", "--dashboard"], tmp_path) == first
    assert len(first) == 2


@pytest.mark.parametrize(
    "changed",
    [
        ["--max-epochs", "3"],
        ["--fix", "rank=8"],
        ["--train-samples", "100"],
        ["--max-length", "64"],
        ["--padding", "dynamic"],
        ["--padding", "packed"],
        ["--metric", "val_f1"],
        ["--seed", "1"],
        ["--precision", "bf16"],
    ],
)
def test_the_identity_follows_what_can(changed: list[str], tmp_path: Path) -> None:
    assert studies(changed, tmp_path)[-1] != studies([], tmp_path)[-1]


def test_only_known_families_are_packed(tmp_path: Path) -> None:
    assert studies(["--padding", "packed"], tmp_path)
    folder = tmp_path / "model"
    shutil.copytree(load_backbone("tiny").folder, folder)
    config = json.loads((folder / "config.json").read_text())
    other = {**config, "model_type": "roformer", "vocab_size": 100, "hidden_size": 32}
    (folder / "config.json").write_text(json.dumps({**other, "num_attention_heads": 4}))
    with pytest.raises(UsageError, match="--padding bucketed"):
        studies(["--padding", "packed"], tmp_path, str(folder))
    assert studies([], tmp_path, str(folder))


def test_the_svm_is_the_same_study_for_any_number_of_epochs(tmp_path: Path) -> None:
    changed = studies(["--max-epochs", "3", "--padding", "fixed"], tmp_path)
    assert changed[0] == studies([], tmp_path)[0]
    assert "-svm-" in changed[0]


def test_a_pinned_value_reaches_the_methods_that_know_it() -> None:
    fixed = fixed_values(["rank=8", "lr=1e-4", "C=2"], ["svm", "full", "lora"], SPACES)
    assert fixed == {"svm": {"C": 2.0}, "full": {"lr": 1e-4}, "lora": {"rank": 8, "lr": 1e-4}}


def test_the_baseline_is_not_asked_for_again_when_its_ledger_is_there(tmp_path: Path) -> None:
    from tests.ledgers import trial

    baseline, _ = studies([], tmp_path)
    parsed = options.build_parser().parse_args([*GOOD, "--results", str(tmp_path)])
    found, _, _ = run_search.plan(parsed)
    folder = StudyFolder(tmp_path / baseline)
    folder.write_study(found[0].describe())
    svm = trial(0, 0.7, params={"C": 1.0, "pooling": "cls"})
    svm["study"] = baseline
    write_json(folder.path / "trials" / "00000-k0.json", svm)
    assert len(studies([], tmp_path)) == 2
    run = {**svm, "key": "k0-43", "trial_key": "k0", "seed": 43, "test_accuracy": 0.7}
    folder.write_confirmation(run)
    assert len(studies([], tmp_path)) == 1
    assert len(studies(["--train-samples", "100"], tmp_path)) == 2
