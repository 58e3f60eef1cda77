import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tune_sentiment.errors import StartError
from tune_sentiment.lock import study_lock

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
