import signal
import subprocess
import sys
from pathlib import Path

import pytest

import run_search
from tests.ledgers import trial, write
from tune_sentiment.errors import StartError
from tune_sentiment.lock import study_lock
from tune_sentiment.options import build_parser

HOLD = (
    "import sys, time; from pathlib import Path; from tune_sentiment.lock import study_lock\n"
    "with study_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_a_second_process_is_told_who_runs_the_study(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "study")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StartError, match=f"study is being run by process {holder.pid} on"),
            study_lock(tmp_path / "study"),
        ):
            pass
        with study_lock(tmp_path / "another"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
        with study_lock(tmp_path / "study"):
            pass
    finally:
        holder.kill()
        holder.wait(timeout=30)
        holder.stdout.close() if holder.stdout else None


def test_tables_are_left_to_the_command_that_runs_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "svm", "--dataset", "demo", "--model", "tiny", "--results", str(tmp_path)]
    args = build_parser().parse_args(words)
    [svm] = run_search.plan(args)[0]
    for method in ("svm", "lora"):
        write(tmp_path, method, [trial(0, 0.8)], [0.8], comparison=svm.comparison)
    with study_lock(tmp_path / "lora"):
        run_search.show(args, [svm], tmp_path)
    assert "| lora" in capsys.readouterr().out
    assert (tmp_path / "svm" / "comparison.md").exists()
    assert not (tmp_path / "lora" / "comparison.md").exists()
    run_search.show(args, [svm], tmp_path)
    assert (tmp_path / "lora" / "comparison.md").exists()
