"""What a terminal shows of many studies: one row each, and what there is no room for."""

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tune_sentiment import progress as shown
from tune_sentiment.progress import Progress
from tune_sentiment.screen import LEFT_OUT, TRAINED, Screen

NAMES = ("cafes svm", "cafes lora", "trains svm", "trains lora")


def stage(label: str, about: str = "search", *, total: int = 4, **more: Any) -> Progress:
    return Progress(
        label=label,
        stage=about,
        total=total,
        evaluations=2,
        metric="val_accuracy",
        mode="max",
        searched=["C"],
        is_stopped=lambda key: False,
        **more,
    )


def begin(made: Progress, key: str) -> SimpleNamespace:
    trial = SimpleNamespace(config={"key": key, "number": 0, "seed": 1, "params": {"C": 1.0}})
    made.on_trial_start(0, [], trial)
    return trial


def evaluate(made: Progress, key: str, evaluation: int, objective: float) -> SimpleNamespace:
    trial = SimpleNamespace(config={"key": key, "number": 0, "seed": 1})
    status = "finished" if evaluation == 2 else "running"
    result = {"evaluation": evaluation, "status": status, "objective": objective}
    made.on_trial_result(0, [], trial, result)
    return trial


def test_a_trial_that_lost_its_worker_or_its_node_is_named_with_its_study() -> None:
    made = stage("cafes full", console=Console(file=io.StringIO(), width=200))
    trial = begin(made, "a")
    made.on_trial_recover(0, [], trial)
    made.on_trial_cut_off(trial)
    assert isinstance(made.console.file, io.StringIO)
    first, second, *_ = made.console.file.getvalue().splitlines()
    assert first == "cafes full: trial 0 lost its worker and goes on from its last checkpoint"
    assert second == "cafes full: trial 0 lost its node and goes on later"


def rows(screen: Screen) -> dict[str, list[str]]:
    """The summary's lines as a person reads them: cells by the first words."""
    console = Console(file=io.StringIO(), width=120)
    console.print(screen.summary())
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {row[0]: row[1:] for row in cells}


def terminal(height: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=height)


def test_each_study_has_a_row_with_its_trials_its_best_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: clock[0])
    screen = Screen(NAMES, terminal())
    lora = stage("cafes lora", before=3, best=0.7)
    screen.live = SimpleNamespace(stop=lambda: None)  # type: ignore[assignment]
    screen.show(lora)
    begin(lora, "a"), begin(lora, "b")
    evaluate(lora, "a", 1, 0.6)
    lora.on_trial_complete(0, [], evaluate(lora, "a", 2, 0.75))
    evaluate(lora, "b", 1, float("nan"))
    clock[0] = 130.0
    found = rows(screen)
    assert found["cafes lora"] == ["search", "4/7", "1", "0.750", "50 s"]  # 1.5 of 4 took 30 s
    assert found["cafes svm"] == ["waiting"]
    assert found["study"] == ["stage", "trials", "now", "best val_accuracy", "left"]


def test_a_confirmation_says_how_far_it_is_and_keeps_the_searchs_best() -> None:
    screen = Screen(NAMES, terminal())
    confirming = stage(
        "trains svm", "confirming the winner", total=2, noun="run of trial", before=5, best=0.8
    )
    screen.live = SimpleNamespace(stop=lambda: None)  # type: ignore[assignment]
    screen.show(confirming)
    begin(confirming, "a")
    evaluate(confirming, "a", 1, 0.95)
    line = rows(screen)["trains svm"]
    assert line[:4] == ["confirming the winner, 0 of 2", "5/5", "1", "0.800"]


def test_the_best_of_a_loss_is_the_lowest() -> None:
    made = stage("a")
    made.better = min
    begin(made, "a")
    for evaluation, loss in ((1, 0.5), (2, 0.7)):
        evaluate(made, "a", evaluation, loss)
    assert made.best == 0.5


def test_a_low_terminal_shows_what_runs_before_what_waits_or_has_ended() -> None:
    names = [f"data{i:02d} svm" for i in range(30)]
    screen = Screen(names, terminal(height=10))
    screen.live = SimpleNamespace(stop=lambda: None)  # type: ignore[assignment]
    for name in names[:20]:
        screen.show(stage(name))
        screen.note(name, LEFT_OUT if name == names[3] else TRAINED)
    screen.show(stage(names[25]))
    found = rows(screen)
    assert names[25] in found
    assert [name for name in found if name.startswith("data")] == [*names[20:24], names[25]]
    assert found["and 25 more"] == []
    first = next(iter(found))
    assert "1 under way, 9 waiting, 19 trained, 1 left out, 0 trainings now" in first


def test_without_a_terminal_there_are_lines_that_name_the_study() -> None:
    console = Console(file=io.StringIO(), width=80)
    with Screen(NAMES, console) as screen:
        made = stage("cafes lora", total=1)
        screen.show(made)
        begin(made, "a")
        made.on_trial_complete(0, [], evaluate(made, "a", 2, 0.75))
        screen.note("cafes lora", TRAINED), screen.note("cafes lora", TRAINED)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "cafes lora: search: 1 to run",
        "cafes lora [1/1] trial 0 finished after evaluation 2 of 2 · val_accuracy 0.750 · 1 s "
        "· C=1",
        "cafes lora: trained; 1 of 4 studies are trained",
    ]


def test_few_studies_keep_their_tables() -> None:
    screen = Screen(NAMES[:2], terminal())
    assert not screen.is_summary
    assert Screen(NAMES, terminal()).is_summary
