"""Nodes of a running cluster: joined with our code, and looked at before trainings run on them.

A training may run on any of them, so each must have the packages that the command has, and must
see the results folder, where checkpoints and confirmed classifiers go. What a training reads comes
to it through Ray: code, inputs and weights.
"""

import hashlib
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_sentiment.environment import ENVIRONMENT
from tune_sentiment.errors import StartError
from tune_sentiment.machines import training_nodes
from tune_sentiment.provenance import host, versions

PACKAGE = Path(__file__).resolve().parent
REACHED_SECONDS = 5.0
FIRST_NODE_SECONDS = 600.0  # a cloud's machine may still be booting
LOOKED_SECONDS = 120.0  # a node's first worker must be given our code
TRAVELLING = (*ENVIRONMENT, "HF_HUB_OFFLINE")  # no secret is among them


def runtime_env() -> dict[str, Any]:
    """What Ray brings to each process of a cluster: this very code, and its switches."""
    found = {name: os.environ[name] for name in TRAVELLING if name in os.environ}
    return {"py_modules": [str(PACKAGE)], "env_vars": found}


def check_reached(address: str) -> None:
    """Refuse a cluster that does not answer; Ray itself would ask for ten minutes.

    Raises:
        StartError: If nothing listens there.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    name, _, port = address.rpartition(":")
    if not port.isdigit():  # Ray knows where
        return
    try:
        socket.create_connection((name.strip("[]"), int(port)), REACHED_SECONDS).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise StartError(f"no Ray cluster answers at '{address}': {why}") from error


@cache
def code_fingerprint() -> str:
    """Hash of this package's own code, wherever it was imported from."""
    content = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        content.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return content.hexdigest()


def look_around(marks: Path | None, content: str, node: str) -> dict[str, str]:
    """What a node has and sees; runs there.

    Args:
        marks: Folder of the command in its results folder; ``None`` where those are in a store.
        content: What the command has written there.
        node: Names the answer.
    """
    found = {"host": host(), "versions": versions(), "code": code_fingerprint()}
    found["place"] = str(PACKAGE)
    if marks is None:
        return found
    try:
        if (marks / "asked").read_text() != content:
            return {**found, "trouble": "another folder is there"}
        (marks / node).write_text(content)
    except OSError as error:
        return {**found, "trouble": error.strerror or str(error)}
    return found


class NodeCheck:
    """Looks at each node that can run a training, once.

    Args:
        results: Every node must see it; ``None`` where results are in an object store.
        say: Tells the user.
    """

    def __init__(self, results: Path | None, say: Callable[[str], None]) -> None:
        self.results, self.say = results and results.resolve(), say
        self.known: set[str] = set()
        self.asked: dict[Any, dict[str, Any]] = {}  # nodes by the reference to their answers
        self.marks = self.results and self.results / f".nodes-{secrets.token_hex(8)}.tmp"
        self.content = secrets.token_hex(16)

    def wait_for_first(self, needs_gpu: bool) -> None:
        """Return once a node could run a training.

        Raises:
            StartError: If there is none for a long time.
        """
        what = "GPU" if needs_gpu else "CPU"
        began, told = time.monotonic(), False
        while not any(node["Resources"].get(what, 0) for node in training_nodes()):
            if time.monotonic() - began > FIRST_NODE_SECONDS:
                raise StartError(f"the cluster has no node with a {what}")
            if not told:
                self.say(f"waiting for a node with a {what}")
                told = True
            time.sleep(1.0)

    def check(self) -> None:
        """Look at all nodes that there are.

        Raises:
            StartError: If one of them cannot run our trainings; names it.
        """
        self._ask()
        self._hear(list(self.asked))

    def look(self) -> None:
        """Look at nodes that have joined, without waiting for them.

        Raises:
            StartError: If one of them cannot run our trainings; names it.
        """
        self._ask()
        if self.asked:
            self._hear(ray.wait(list(self.asked), num_returns=len(self.asked), timeout=0)[0])

    def close(self) -> None:
        """Take away what nodes were asked with."""
        if self.marks is not None:
            shutil.rmtree(self.marks, ignore_errors=True)

    def _ask(self) -> None:
        new = [node for node in training_nodes() if node["NodeID"] not in self.known]
        if not new:
            return
        if self.marks is not None:
            self.marks.mkdir(exist_ok=True)
            (self.marks / "asked").write_text(self.content)
        for node in new:
            self.known.add(node["NodeID"])
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ask = ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=0)(look_around)
            self.asked[ask.remote(self.marks, self.content, node["NodeID"])] = node

    def _hear(self, answers: list[Any]) -> None:
        try:
            troubles = [self._trouble(answer, self.asked.pop(answer)) for answer in answers]
        finally:
            if not self.asked:
                self.close()
        if found := [trouble for trouble in troubles if trouble]:
            raise StartError("; ".join(found))

    def _trouble(self, answer: Any, node: dict[str, Any]) -> str | None:
        name = f"node {node['NodeManagerAddress']}"
        try:
            found = ray.get(answer, timeout=LOOKED_SECONDS)
        except GetTimeoutError:
            return f"{name} has not answered for {LOOKED_SECONDS:.0f} s"
        except RayError as error:
            if node["NodeID"] not in {other["NodeID"] for other in training_nodes()}:
                return None  # it is gone again
            return f"{name} cannot run our code: {str(error).strip().splitlines()[-1]}"
        has_answered = self.marks is None or (self.marks / node["NodeID"]).exists()
        return trouble_with(f"{name} ({found['host']})", found, self.results, has_answered)


def trouble_with(
    name: str, found: Mapping[str, str], results: Path | None, has_answered: bool
) -> str | None:
    """Why a node cannot run our trainings; ``None`` where it can.

    Args:
        name: Of the node.
        found: What ``look_around`` saw there.
        results: The results folder.
        has_answered: Whether what the node has written is seen here.
    """
    if other := set(found["versions"].split()) - set(versions().split()):
        return f"{name} has {' '.join(sorted(other))}, this machine {versions()}"
    if found["code"] != code_fingerprint():
        return f"{name} has other code of ours in {found['place']}; remove it there"
    trouble = found.get("trouble")
    if trouble is None and not has_answered:
        trouble = "what it writes there is not seen here"
    if trouble is None:
        return None
    return (
        f"{name} does not share the results folder {results}: {trouble}. With --results name a "
        "folder that all nodes mount"
    )
