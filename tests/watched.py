"""A search that is watched from outside while it runs, and people who try to get in."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import psutil

import run_search
from tests.canary import pickled
from tests.conftest import CHECKOUT
from tune_sentiment import options
from tune_sentiment.ledger import StudyFolder

HANGING = 300  # seconds: several times what the command takes
SCRIPT = "<script>alert(1)</script>"
CANARY = "canary5ecret0123456789abcdef0123456789ab"
NAMES = ("HF_TOKEN", "WANDB_API_KEY", "COMET_API_KEY", "MLFLOW_TRACKING_TOKEN")
NAMES += ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "HUGGING_FACE_HUB_TOKEN")
THEIRS = ("RAY_", "WANDB_", "COMET_", "MLFLOW_", "TMPDIR")  # variables that would change defaults
OFFLINE = {"WANDB_MODE": "offline", "COMET_START_ONLINE": "0"}
OWN_RAY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_NUM_REDIS_GET_RETRIES": "2"}
JOIN = "import ray, sys; ray.init(address=sys.argv[1]); print('joined', len(ray.nodes()))"
# What Ray's head remembers of jobs, functions and actors, once trials run there.
REMEMBERED = """
import pathlib, time
from ray.experimental import internal_kv as kv
spaces = [None, b"fun", b"job", b"cluster", b"session", b"dashboard", b"tracing", b"healthcheck"]
deadline = time.monotonic() + 60
while not kv._internal_kv_list(b"", namespace=b"fun") and time.monotonic() < deadline:
    time.sleep(0.5)
with pathlib.Path(sys.argv[2]).open("wb") as file:
    for space in spaces:
        for key in kv._internal_kv_list(b"", namespace=space):
            value = kv._internal_kv_get(key, namespace=space)
            file.write(b"%b %b\\n" % (key, value))
    file.write(repr(ray._private.state.state.job_table()).encode())
"""
INTRUDERS = {
    "without a token": {},
    "without authentication": {"RAY_AUTH_MODE": "disabled"},
    "with another token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64},
}
PICKLES = ("tuner.pkl", "trainable.pkl", "search_gen_state-2026-01-01_00-00-00.json")
PICKLES += ("searcher-state-2026-01-01_00-00-00.pkl", "callback_states.pkl", "abc/params.pkl")


@dataclass
class Watched:
    """What was seen of the search, from outside."""

    folder: Path
    code: int | None = None
    listening: set[tuple[str, str]] = field(default_factory=set)  # process and address
    commands: set[str] = field(default_factory=set)
    worker: dict[str, str] = field(default_factory=dict)  # a trial's environment
    token: str | None = None
    logs: Path | None = None  # Ray's
    said: dict[str, str] = field(default_factory=dict)  # by those who tried to get in

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def remembered(self) -> Path:
        return self.folder / "remembered.bin"

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    def study(self, method: str) -> StudyFolder:
        [path] = self.results.glob(f"*-{method}-*")
        return StudyFolder(path)

    def look(self, process: psutil.Process) -> str | None:
        """Note what one process shows; returns where Ray's directory of nodes listens, if it is."""
        words = process.cmdline()
        self.commands.add(" ".join(words))
        found = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        self.listening |= {(process.name(), c.laddr.ip) for c in found}
        environment = process.environ()
        if words[:1] == ["ray::ImplicitFunc.train"]:
            self.worker = environment
        if process.name() != "gcs_server" or not found:
            return None
        self.token = environment["RAY_AUTH_TOKEN"]
        [logs] = [word.partition("=")[2] for word in words if word.startswith("--log_dir=")]
        self.logs = Path(logs)
        return f"127.0.0.1:{found[0].laddr.port}"


def hostile(folder: Path) -> list[str]:
    """The command on data whose file and labels would like to be more than names."""
    data = folder / "<img src=x onerror=alert(1)>[a](b).tsv"
    kinds = ((SCRIPT, "a dull and cold"), ("=1+1", "a warm and funny"))
    rows = [f"{kinds[i % 2][0]}\t{kinds[i % 2][1]} film number {i}" for i in range(400)]
    data.write_text("\n".join(["label\ttext", *rows]) + "\n", encoding="utf-8")
    words = ["--method", "svm,lora", "--dataset", str(data), "--model", "tiny", "--trials", "2"]
    words += ["--max-epochs", "1", "--confirm-seeds", "1", "--fix", "batch_size=16"]
    return [*words, "--gpus-per-trial", "0", "--results", str(folder / "results")]


def plant(watched: Watched, words: list[str]) -> None:
    """Lay pickles where Ray keeps its own; reading one would make the canary."""
    for study in run_search.plan(options.build_parser().parse_args(words))[0]:
        for name in PICKLES:
            path = watched.results / study.id / "ray" / "tune" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickled(watched.canary))


def join(address: str, watched: Watched, **variables: str) -> "subprocess.Popen[str]":
    known = {n: v for n, v in os.environ.items() if not n.startswith(THEIRS)}
    return subprocess.Popen(
        [sys.executable, "-c", JOIN + REMEMBERED, address, str(watched.remembered)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**known, "HOME": str(watched.folder / "home"), **OWN_RAY, **variables},
    )


def watch(folder: Path) -> Watched:
    """Run the search to its end."""
    watched = Watched(folder)
    for name in ("home", "marks"):
        (watched.folder / name).mkdir()
    words = hostile(watched.folder)
    plant(watched, words)
    known = {n: v for n, v in os.environ.items() if not n.startswith(THEIRS)}
    harm = {"FAULTS": json.dumps({"1": "raise"}), "FAULT_FOLDER": str(watched.folder / "marks")}
    harm["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT / "tests" / "faults"), str(CHECKOUT)])
    own = {"HOME": str(watched.folder / "home"), "MPLCONFIGDIR": matplotlib.get_configdir()}
    tried: dict[str, subprocess.Popen[str]] = {}
    with (
        (watched.folder / "stdout.txt").open("w") as out,
        (watched.folder / "stderr.txt").open("w") as err,
        subprocess.Popen(
            [sys.executable, "run_search.py", *words, "--track", "wandb,comet,mlflow,tensorboard"],
            cwd=CHECKOUT,
            stdout=out,
            stderr=err,
            env={**known, **harm, **own, **OFFLINE, **dict.fromkeys(NAMES, CANARY)},
        ) as search,
    ):
        try:
            deadline = time.monotonic() + HANGING
            while search.poll() is None and time.monotonic() < deadline:
                for process in _tree(search.pid):
                    try:
                        address = watched.look(process)
                    except psutil.Error:  # it has just ended, or not quite begun
                        continue
                    if address and watched.token and not tried:
                        tried = {n: join(address, watched, **v) for n, v in INTRUDERS.items()}
                        mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": watched.token}
                        tried["with the token"] = join(address, watched, **mine)
                time.sleep(0.25)
            watched.said = {n: each.communicate(timeout=HANGING)[0] for n, each in tried.items()}
        finally:
            for each in (search, *tried.values()):
                if each.poll() is None:
                    each.kill()
    watched.code = search.returncode
    return watched


def _tree(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []
