"""A cluster of machines on this one: Ray's own ``ray start`` on each, and a link that can be cut.

``Namespaces`` are as separate as machines get here: each has a network, an address, a name and a
view of the disk of its own. ``Processes`` share all that, for where no namespace can be made.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.command import HANGING, wait_until

RAY = str(Path(sys.executable).with_name("ray"))
STORE = ("--object-store-memory", str(100 << 20))
PORT = 6399
QUICK = {  # Ray's defaults notice a cut link after half a minute
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "4",
}
NAMED = """hostname "$1"; shift
while [ "$1" != -- ]; do if [ -d "$1" ]; then mount -t tmpfs none "$1"
else mount --bind /dev/null "$1"; fi; shift; done
shift; exec "$@"
"""


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    return done.stdout


def why_no_namespaces() -> str | None:
    """Why this machine cannot be several; ``None`` where it can."""
    name = f"try{os.getpid()}"
    if os.environ.get("FAULT_MACHINES") == "processes":
        return "FAULT_MACHINES says processes"
    try:
        ip("netns", "add", name)
        try:
            ip("-n", name, "link", "add", "br0", "type", "bridge")
            words = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", NAMED, "sh"]
            subprocess.run([*words, name, "--", "true"], check=True, capture_output=True)
        finally:
            ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        said = said.decode() if isinstance(said, bytes) else said
        return f"no network namespaces here ({' '.join(said.split())[:100]})"
    return None


@dataclass
class Cluster:
    """A head without slots, machine 1, and others with one slot each, from machine 2 on.

    Args:
        folder: Logs and each machine's cache go below it.
        environment: Of every machine.
        hidden: Files and folders that machines other than the first do not have.
    """

    folder: Path
    environment: dict[str, str]
    hidden: Sequence[Path] = ()
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    started: list[psutil.Popen] = field(default_factory=list)
    rays: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="ray-")))

    @property
    def known(self) -> dict[str, str]:
        """The environment of the command that joins: the token included."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    @property
    def address(self) -> str:
        return f"{self.address_of(1)}:{PORT}"

    def address_of(self, number: int) -> str:
        raise NotImplementedError

    def words_of(self, number: int, hidden: Sequence[Path] = ()) -> list[str]:
        """What makes a command one of a machine's."""
        raise NotImplementedError

    def cut(self, number: int) -> None:
        """Let nothing pass between a machine and the others any more."""
        raise NotImplementedError

    def open(self, machines: int) -> None:
        own = ["--head", "--port", str(PORT), "--num-cpus", "0", "--include-dashboard", "false"]
        self._start(1, own)
        for number in range(2, machines + 2):
            self._start(number, ["--address", self.address, "--num-cpus", "1"])

    def _start(self, number: int, own: list[str]) -> None:
        cache = self.folder / f"cache-{number}"
        words = [*self.words_of(number, self.hidden if number > 1 else ()), RAY, "start", *own]
        words += ["--node-ip-address", self.address_of(number), *STORE, "--block"]
        given = {**os.environ, **self.environment, **self.known, **QUICK}
        given |= {"RAY_TMPDIR": str(self.rays), "TUNE_SENTIMENT_CACHE": str(cache)}
        with (self.folder / f"ray-{number}.log").open("w") as log:
            made = psutil.Popen(words, env=given, stdout=log, stderr=log, start_new_session=True)
        self.started.append(made)
        wait_until(lambda: self._is_up(number), seconds=60)

    def _is_up(self, number: int) -> bool:
        said = (self.folder / f"ray-{number}.log").read_text()
        assert self.started[-1].poll() is None, said
        return "Ray runtime started" in said

    def processes(self, number: int) -> list[psutil.Process]:
        first = self.started[number - 1]
        try:
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def close(self) -> None:
        found = [
            each for number in range(1, len(self.started) + 1) for each in self.processes(number)
        ]
        for each in found:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(found, timeout=HANGING)
        for each in self.started:
            each.wait()
        shutil.rmtree(self.rays)


class Namespaces(Cluster):
    """Machines with a network of their own, joined by a bridge in the head's."""

    def address_of(self, number: int) -> str:
        return f"10.77.0.{number}"

    def words_of(self, number: int, hidden: Sequence[Path] = ()) -> list[str]:
        there = f"{self.name}-{number}"
        words = ["ip", "netns", "exec", there, "unshare", "--uts", "sh", "-c", NAMED, "sh", there]
        return [*words, *map(str, hidden), "--"]

    def open(self, machines: int) -> None:
        head = f"{self.name}-1"
        for number in range(1, machines + 2):
            ip("netns", "add", f"{self.name}-{number}")
            ip("-n", f"{self.name}-{number}", "link", "set", "lo", "up")
        ip("-n", head, "link", "add", "br0", "type", "bridge")
        ip("-n", head, "address", "add", f"{self.address_of(1)}/24", "dev", "br0")
        ip("-n", head, "link", "set", "br0", "up")
        for number in range(2, machines + 2):
            there = f"{self.name}-{number}"
            pair = ["type", "veth", "peer", "name", "eth0", "netns", there]
            ip("-n", head, "link", "add", f"to{number}", *pair)
            ip("-n", head, "link", "set", f"to{number}", "master", "br0", "up")
            ip("-n", there, "address", "add", f"{self.address_of(number)}/24", "dev", "eth0")
            ip("-n", there, "link", "set", "eth0", "up")
        super().open(machines)

    def cut(self, number: int) -> None:
        ip("-n", f"{self.name}-1", "link", "set", f"to{number}", "down")

    def close(self) -> None:
        super().close()
        for line in ip("netns", "list").splitlines():
            there = line.split()[0]
            if there.startswith(f"{self.name}-"):
                for pid in ip("netns", "pids", there).split():
                    psutil.Process(int(pid)).kill()
                ip("netns", "del", there)


class Processes(Cluster):
    """Nodes with an address of loopback each; one that is cut off hangs."""

    def address_of(self, number: int) -> str:
        return f"127.0.0.{number}"

    def words_of(self, number: int, hidden: Sequence[Path] = ()) -> list[str]:
        return []

    def cut(self, number: int) -> None:
        for each in self.processes(number):
            each.suspend()
