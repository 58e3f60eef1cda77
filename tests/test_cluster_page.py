"""The page on clusters, followed word for word on a machine of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.slow
PAGE = (CHECKOUT / "docs" / "cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- runs: (first|other) -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
# Processes, network and mounts of its own: the page's last word is ``ray stop``, which would end
# the Ray of everybody on this machine.
OWN = ["unshare", "--pid", "--fork", "--mount-proc", "--net", "--mount", "bash", "-euo", "pipefail"]
FRESH = "mkdir -p /tmp/ray && mount -t tmpfs none /tmp/ray\n"
OTHER = f"unshare --mount bash -euo pipefail <<'THERE'\n{FRESH}%sTHERE\n"
ADDRESSES = {"10.0.0.1": "127.0.0.1", "10.0.0.2": "127.0.0.2"}  # of machines that are here


def why_not() -> str | None:
    """Why there can be no machine in this machine; ``None`` where there can."""
    try:
        subprocess.run([*OWN, "-c", "ip link set lo up; mount -t tmpfs none /mnt"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no namespaces here ({error})"
    return None


def test_the_page_has_a_command_for_each_step_of_a_searchs_life() -> None:
    assert [where for where, _ in BLOCKS] == ["first", "other", "first", "first", "first", "first"]
    assert len(re.findall(r"\*Needs [^*]+\*", PAGE)) == 3
    for name in ("Dockerfile", "kuberay-rayjob.yaml", "slurm.sbatch", "ray-up-aws.yaml"):
        assert f"cluster/{name}" in PAGE
    for step in ("Start", "Submit", "Watch", "Resume", "Stop", "Cost"):
        assert len(re.findall(rf"\*\*[^*]*{step}[^*]*\*\*", PAGE, re.IGNORECASE)) >= 4, step


def test_the_commands_for_ssh_machines_run_as_they_are_written(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    parts = [OTHER % text if where == "other" else text for where, text in BLOCKS]
    script = f"ip link set lo up\n{FRESH}{''.join(parts)}"
    shared = tmp_path / "results"
    for theirs, here in {**ADDRESSES, "/shared/results": str(shared)}.items():
        assert theirs in script
        script = script.replace(theirs, here)
    home = tmp_path / "home"
    home.mkdir()
    bin = Path(sys.executable).parent
    known = {name: v for name, v in os.environ.items() if not name.startswith("RAY_")}
    known |= {"HOME": str(home), "MPLCONFIGDIR": matplotlib.get_configdir()}
    known |= {"PATH": f"{bin}:{os.environ['PATH']}", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [*OWN, "-c", script], cwd=CHECKOUT, env=known, capture_output=True, text=True, timeout=270
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "succeeded" in done.stdout, done.stdout[-3000:]
    assert "every study is complete" in done.stdout + done.stderr
    assert (home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
    [study] = shared.glob("demo-tiny-svm-*")
    assert len(list((study / "trials").glob("*.json"))) == 4
