"""What is one study's own failure, what ends the command, and what is said of either."""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError
from safetensors import SafetensorError

import run_search
from tests.growing import Growing
from tune_sentiment import command
from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError, TuneSentimentError
from tune_sentiment.failures import Failures, reading
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.lock import study_lock
from tune_sentiment.objects import StorageError
from tune_sentiment.options import build_parser


def test_a_failure_is_told_once_and_what_follows_goes_on() -> None:
    said: list[str] = []
    failures = Failures(said.append)
    with failures.of("a"):
        raise StartError("the texts\nhave changed")
    with failures.of("a"):
        raise StartError("and again")
    with failures.of("b"):
        pass
    assert said == ["a is left out: the texts have changed"]
    assert "a" in failures
    assert "b" not in failures
    assert failures.told("a") == "a: the texts have changed"
    assert failures.told("b") == "b ended without a winner; see its trials/"
    failures.raise_if_all(["a", "b"])
    with pytest.raises(StartError, match="have changed"):
        failures.raise_if_all(["a"])


def test_what_is_no_error_of_ours_keeps_its_traceback() -> None:
    said: list[str] = []
    failures = Failures(said.append)
    with failures.of("a"):
        _ = {}["key"]
    assert "Traceback" in said[0]
    assert said[1] == "a is left out: KeyError: 'key'"
    with pytest.raises(TuneSentimentError, match="KeyError: 'key'") as raised:
        failures.raise_if_all(["a"])
    assert raised.value.exit_code == 1


def test_a_full_disk_and_an_interruption_are_nobodys_own_failure() -> None:
    failures = Failures(lambda line: None)
    with pytest.raises(OSError, match="No space left"), failures.of("a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(KeyboardInterrupt), failures.of("a"):
        raise KeyboardInterrupt
    assert not failures.errors


def test_a_store_that_is_away_is_nobodys_own_failure_here_or_in_a_worker(tmp_path: Path) -> None:
    away, failures = StorageError("s3://b/x: no answer"), Failures(lambda line: None)
    in_a_worker = RayTaskError("export", "Traceback", away)
    for error in (away, in_a_worker):
        with pytest.raises(type(error)) as raised, failures.of("a"):
            raise error
        assert raised.value is error
        with pytest.raises(StorageError) as told, command._disk_errors(tmp_path):
            raise error
        assert told.value is away
    assert not failures.errors


def test_other_errors_of_a_worker_are_a_studys_own_and_those_of_the_disk_are_told(
    tmp_path: Path,
) -> None:
    failures = Failures(lambda line: None)
    with failures.of("a"):
        raise RayTaskError("export", "Traceback", StartError("its lease is lost"))
    assert list(failures.errors) == ["a"]
    full = RayTaskError("export", "Traceback", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(StartError, match="No space left") as told, command._disk_errors(tmp_path):
        raise full
    assert not isinstance(told.value, StorageError)
    for other in (RayTaskError("export", "Traceback", KeyError("x")), KeyError("x")):
        with pytest.raises(type(other)) as raised, command._disk_errors(tmp_path):
            raise other
        assert raised.value is other


@pytest.mark.parametrize("kind", [OSError, SafetensorError, Exception])
def test_a_library_that_tells_of_a_full_disk_in_its_own_words_ends_the_command_in_one_line(
    kind: type[Exception], tmp_path: Path
) -> None:
    said = f"Error while serializing: I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"
    ended = pytest.raises(StartError, match=r"cannot write in .*: No space left on device. Every")
    failures = Failures(lambda line: None)
    with ended, command._disk_errors(tmp_path), failures.of("a"):
        raise kind(said)
    assert not failures.errors


def test_rubbish_in_a_ledger_is_told_in_one_line(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "lora")
    for content in ("{", "[]", '{"key": "../x"}', "{}"):
        path = folder.path / "trials" / "00000-k0.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        with pytest.raises(StartError) as raised, reading(folder.path):
            folder.trials()
        assert "\n" not in str(raised.value)
        assert str(folder.path) in str(raised.value)


def test_a_command_whose_every_study_fails_ends_with_the_first_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "lora", "--dataset", "demo", "--model", "tiny", "--gpus-per-trial", "0"]
    studies, _, results = run_search.plan(
        build_parser().parse_args([*words, "--results", str(tmp_path)])
    )
    (tmp_path / studies[1].id).mkdir()
    (tmp_path / studies[1].id / "trials").mkdir()
    (tmp_path / studies[1].id / "trials" / "00000-k0.json").write_text("{")
    with study_lock(tmp_path / studies[0].id), pytest.raises(StartError, match="cannot be read"):
        command.search(studies, Resources(gpus_per_trial=0), results)
    said = capsys.readouterr().err
    assert f"{studies[0].id} is left out: study {studies[0].id} is being run by process" in said
    assert "starting Ray" not in said


@pytest.mark.parametrize("harm", ["torn", "locked"])
def test_where_the_rest_was_complete_its_tables_come_and_the_failure_after_them(
    harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "svm,lora", "--dataset", "demo", "--model", "tiny", "--trials", "1"]
    words += ["--confirm-seeds", "0", "--gpus-per-trial", "0", "--results", str(tmp_path)]
    svm, lora = run_search.plan(build_parser().parse_args(words))[0]
    done = Growing(tmp_path, svm.id)
    about = {"method": "svm", "comparison": svm.comparison, "metric": "val_accuracy"}
    done.folder.write_study({**done.about, **about})
    training = done.begin(0)
    done.evaluate(training, 0.8, "finished")
    done.end(training, "finished")
    (tmp_path / lora.id / "trials").mkdir(parents=True)
    with ExitStack() as held:
        if harm == "torn":
            (tmp_path / lora.id / "trials" / "00000-k0.json").write_text("{")
        else:
            held.enter_context(study_lock(tmp_path / lora.id))
        assert run_search.main(words) == 1
    out, err = capsys.readouterr()
    assert "| svm" in out
    assert "starting Ray" not in err
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {lora.id}: ")
    assert ("cannot be read" if harm == "torn" else "is being run by process") in line
