"""Which nodes are asked, when, and what their answers lead to; Ray itself is played here."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError, RayError, WorkerCrashedError

from tune_sentiment import machines, nodes
from tune_sentiment.errors import StartError
from tune_sentiment.nodes import NodeCheck

Task = Callable[[], Any]


class PlayedRay:
    """Nodes by their names, and tasks that run when somebody wants their answers.

    Each node does what it is asked, unless ``instead`` says what becomes of it there.
    """

    def __init__(self, *names: str) -> None:
        self.names, self.cpus = list(names), 1.0
        self.instead: dict[str, Exception] = {}
        self.busy: set[str] = set()
        self.asked: list[str] = []

    def nodes(self) -> list[dict[str, Any]]:
        resources = {"CPU": self.cpus}
        return [
            {"NodeID": name, "Alive": True, "Resources": resources, "NodeManagerAddress": name}
            for name in self.names
        ]

    def remote(self, *, scheduling_strategy: Any, **options: Any) -> Any:
        name = scheduling_strategy.node_id
        self.asked.append(name)

        def made(function: Callable[..., Any]) -> Any:
            return SimpleNamespace(remote=lambda *asked: (name, lambda: function(*asked)))

        return made

    def get(self, answer: tuple[str, Task], timeout: float) -> Any:
        name, task = answer
        if name in self.instead:
            raise self.instead[name]
        return task()

    def wait(self, answers: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], Any]:
        assert timeout == 0
        return [answer for answer in answers if answer[0] not in self.busy], []


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedRay:
    made = PlayedRay("ab", "cd")
    for module in (nodes, machines):
        monkeypatch.setattr(module, "ray", made)
    monkeypatch.setattr(
        nodes, "NodeAffinitySchedulingStrategy", lambda name, soft: SimpleNamespace(node_id=name)
    )
    return made


@pytest.fixture
def check(played: PlayedRay, tmp_path: Path) -> NodeCheck:
    return NodeCheck(tmp_path, lambda line: None)


def test_each_node_is_asked_once_and_nothing_stays(
    played: PlayedRay, check: NodeCheck, tmp_path: Path
) -> None:
    check.check()
    check.check()
    check.look()
    assert played.asked == ["ab", "cd"]
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_cores_is_not_asked(played: PlayedRay, check: NodeCheck) -> None:
    played.cpus = 0.0
    check.check()
    assert played.asked == []


def test_one_that_joins_later_is_looked_at_when_it_has_answered(
    played: PlayedRay, check: NodeCheck, tmp_path: Path
) -> None:
    check.check()
    played.names.append("ef")
    played.busy.add("ef")
    check.look()
    assert played.asked == ["ab", "cd", "ef"]
    assert list(tmp_path.iterdir()) == [check.marks]
    played.busy.clear()
    played.instead["ef"] = RayError("Traceback:\nno module named x")
    with pytest.raises(StartError, match="node ef cannot run our code: no module named x"):
        check.look()
    assert list(tmp_path.iterdir()) == []
    check.look()
    assert played.asked == ["ab", "cd", "ef"]


def test_one_that_is_gone_before_it_answers_is_no_trouble(
    played: PlayedRay, check: NodeCheck
) -> None:
    get = played.get

    def leaving(answer: tuple[str, Task], timeout: float) -> Any:
        played.names = ["cd"]
        return get(answer, timeout)

    played.get = leaving  # type: ignore[method-assign]
    played.instead["ab"] = WorkerCrashedError()
    check.check()
    assert played.asked == ["ab", "cd"]


def test_those_that_do_not_answer_and_those_that_cannot_run_our_code_are_all_named(
    played: PlayedRay, check: NodeCheck
) -> None:
    played.instead = {"ab": GetTimeoutError("late"), "cd": WorkerCrashedError()}
    with pytest.raises(StartError) as raised:
        check.check()
    first, second = str(raised.value).split("; ")
    assert first == "node ab has not answered for 120 s"
    assert second.startswith("node cd cannot run our code: ")


def test_a_node_that_writes_elsewhere_is_told(
    played: PlayedRay, check: NodeCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = nodes.look_around

    def elsewhere(marks: Path, place: Any, content: str, node: str) -> dict[str, str]:
        return there(marks, place, content, "mine" if node == "cd" else node)

    monkeypatch.setattr(nodes, "look_around", elsewhere)
    with pytest.raises(StartError, match=r"node cd \(.*what it writes there is not seen here"):
        check.check()


def test_the_first_node_is_waited_for_and_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks: list[list[dict[str, Any]]] = [[], [{"Alive": True, "Resources": {"CPU": 1.0}}]]
    monkeypatch.setattr(machines, "ray", SimpleNamespace(nodes=lambda: looks.pop(0)))
    said: list[str] = []
    nodes.NodeCheck(tmp_path, said.append).wait_for_first(needs_gpu=False)
    assert said == ["waiting for a node with a CPU"]
    monkeypatch.setattr(nodes, "FIRST_NODE_SECONDS", -1.0)
    looks.append([{"Alive": True, "Resources": {"CPU": 1.0}}])
    with pytest.raises(StartError, match="no node with a GPU"):
        nodes.NodeCheck(tmp_path, said.append).wait_for_first(needs_gpu=True)
