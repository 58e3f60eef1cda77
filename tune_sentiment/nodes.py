"""Nodes of a running cluster: joined with our code, and looked at before trainings run on them.

A training may run on any of them, so each must have the packages that the command has, and must
see the results folder or reach its object store, where checkpoints and confirmed classifiers go.
What a training reads comes to it through Ray: code, inputs and weights.
"""

import hashlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_sentiment.durable import fetched, remove, remove_folder, write_text
from tune_sentiment.environment import ENVIRONMENT
from tune_sentiment.errors import StartError, TuneSentimentError
from tune_sentiment.machines import training_nodes
from tune_sentiment.objects import StorageError
from tune_sentiment.places import copy_of, join, place_of
from tune_sentiment.provenance import host, version_of, versions
from tune_sentiment.uri import PACKAGE as STORE_PACKAGE
from tune_sentiment.uri import SECONDS_VARIABLE
from tune_sentiment.working_copy import Place

PACKAGE = Path(__file__).resolve().parent
REACHED_SECONDS = 5.0
FIRST_NODE_SECONDS = 600.0  # a cloud's machine may still be booting
LOOKED_SECONDS = 120.0  # a node's first worker must be given our code
TRAVELLING = (*ENVIRONMENT, "HF_HUB_OFFLINE", SECONDS_VARIABLE)  # no secret is among them


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


def needed(place: Place | None) -> str:
    """The versions that nodes must share; the store's library is among them where there is one."""
    return versions() + (f" {version_of(STORE_PACKAGE)}" if place else "")


def look_around(marks: Path, place: Place | None, content: str, node: str) -> dict[str, str]:
    """What a node has and sees; runs there.

    Args:
        marks: Folder of the command in its results folder.
        place: The object store that those are in; ``None`` for a plain folder.
        content: What the command has written there.
        node: Names the answer.
    """
    found = {"host": host(), "versions": needed(place), "code": code_fingerprint()}
    found["place"] = str(PACKAGE)
    try:
        join(place)
        if copy := copy_of(marks):
            copy.objects.below(marks.name, is_first=True)  # a wrong address is to be told soon
        if not fetched(marks / "asked", again=True):
            return {**found, "trouble": "what this command wrote there is not seen"}
        if (marks / "asked").read_text(encoding="utf-8") != content:
            return {**found, "trouble": "another folder is there"}
        write_text(marks / f"{node}-tried", content)
        remove(marks / f"{node}-tried")
        write_text(marks / node, content)
    except OSError as error:
        why = error.strerror or str(error)
        return {**found, "trouble": f"{why}: {error.filename}" if error.filename else why}
    except (TuneSentimentError, ImportError) as error:
        return {**found, "trouble": str(error)}
    return found


class NodeCheck:
    """Looks at each node that can run a training, once.

    Args:
        results: Every node must see it, or reach the object store that it is a copy of.
        say: Tells the user.
    """

    def __init__(self, results: Path, say: Callable[[str], None]) -> None:
        self.results, self.say = results.resolve(), say
        self.place = place_of(self.results)
        self.known: set[str] = set()
        self.asked: dict[Any, dict[str, Any]] = {}  # nodes by the reference to their answers
        self.marks = self.results / f".nodes-{secrets.token_hex(8)}.tmp"
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
        if self.marks.exists():
            with suppress(StorageError):
                remove_folder(self.marks)

    def _ask(self) -> None:
        new = [node for node in training_nodes() if node["NodeID"] not in self.known]
        if not new:
            return
        write_text(self.marks / "asked", self.content)
        for node in new:
            self.known.add(node["NodeID"])
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ask = ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=0)(look_around)
            answer = ask.remote(self.marks, self.place, self.content, node["NodeID"])
            self.asked[answer] = node

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
        has_answered = fetched(self.marks / node["NodeID"])
        return trouble_with(f"{name} ({found['host']})", found, self.results, has_answered)


def trouble_with(
    name: str, found: Mapping[str, str], results: Path, has_answered: bool
) -> str | None:
    """Why a node cannot run our trainings; ``None`` where it can.

    Args:
        name: Of the node.
        found: What ``look_around`` saw there.
        results: The results folder.
        has_answered: Whether what the node has written is seen here.
    """
    place = place_of(results)
    if other := set(found["versions"].split()) - set(needed(place).split()):
        return f"{name} has {' '.join(sorted(other))}, this machine {needed(place)}"
    if found["code"] != code_fingerprint():
        return f"{name} has other code of ours in {found['place']}; remove it there"
    trouble = found.get("trouble")
    if trouble is None and not has_answered:
        trouble = "what it writes there is not seen here"
    if trouble is None:
        return None
    if place is not None:
        return (
            f"{name} cannot work in {place.uri}: {trouble}. It needs credentials in its own "
            f"environment, and a folder {place.root} that it may write"
        )
    return (
        f"{name} does not share the results folder {results}: {trouble}. With --results name a "
        "folder that all nodes mount"
    )
