"""Several of Ray's nodes on this machine, which can be lost."""

import os
from types import TracebackType
from typing import Any, Self

import psutil
from ray.cluster_utils import Cluster

from tests.faults.command import Command

STORE_BYTES = 100 << 20


class Nodes:
    """A head that runs no trial, and nodes with one core each, whose workers are ``command``'s.

    Args:
        command: Searches there; it is given the address by its arguments.
        faults: Of the trials, as ``sitecustomize.py`` knows them.
    """

    def __init__(self, command: Command, faults: dict[str, object]) -> None:
        self.command, self.faults = command, faults
        self.nodes: list[Any] = []

    def __enter__(self) -> Self:
        # Workers have their environment from their node.
        surroundings = self.command.surroundings(self.faults)
        self.outside = {name: os.environ.get(name) for name in surroundings}
        os.environ.update(surroundings)
        head = {"num_cpus": 0, "object_store_memory": STORE_BYTES}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cluster.shutdown()
        for name, value in self.outside.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> None:
        self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))

    def lose(self, node: Any) -> None:
        """End a node as a power cut does: all its processes at once."""
        raylets = [psutil.Process(pid) for pid in _raylets(node)]
        children = [p for raylet in raylets for p in raylet.children(recursive=True)]
        for process in [*children, *raylets]:
            process.kill()
        self.cluster.remove_node(node, allow_graceful=False)
        self.nodes.remove(node)

    def lose_that_of(self, worker: psutil.Process) -> None:
        """End the node whose raylet started a worker."""
        parents = {parent.pid for parent in worker.parents()}
        [node] = [node for node in self.nodes if parents & set(_raylets(node))]
        self.lose(node)


def _raylets(node: Any) -> list[int]:
    return [info.process.pid for info in node.all_processes["raylet"]]
