import json
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import repeat
from tests.methods.test_contract import inputs_for, setup_for, start_of
from tune_sentiment import checkpoint as module
from tune_sentiment.backbone import Backbone
from tune_sentiment.checkpoint import KEPT, Checkpoints
from tune_sentiment.methods import METHODS
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import LOSS_CHECK_STEPS, TrainState, fit
from tune_sentiment.trial_setup import build_state

NEURAL = [name for name, method in METHODS.items() if method.is_neural]
EPOCHS = 5
NOTED = 0.625  # the objective that stands with every state


def new_state(method: str, backbone: Backbone, train: Any, **params: Any) -> TrainState:
    setup = setup_for(method, backbone, max_epochs=EPOCHS)
    start = start_of(method, **{"lr": 1e-3, "batch_size": 2, "warmup_ratio": 0.1, **params})
    if "dropout" in start:
        start["dropout"] = 0.1
    state: TrainState = build_state(setup, start, 7, train)
    return state


def told(made: Any) -> tuple[Any, ...]:
    """What an evaluation says, but for its seconds and its classifier."""
    return (
        made.evaluation,
        made.status,
        made.epoch,
        made.metrics,
        made.train_loss,
        made.train_loss_curve,
        made.samples,
        made.steps,
    )


def weights(state: TrainState) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.model.state_dict().items()}


class Cut(Exception):
    """Stands for the end of a process."""


def train(
    state: TrainState, inputs: Any, checkpoints: Checkpoints, cut: int | None = None
) -> Iterator[Any]:
    """Train on and save at each chance; end after ``cut`` chances."""
    chances = 0

    def save() -> None:
        nonlocal chances
        checkpoints.save(state, NOTED)
        chances += 1
        if chances == cut:
            raise Cut

    yield from fit(state, inputs, inputs, save=save)


def interrupted(
    folder: Path, new: Callable[[], TrainState], inputs: Any, cut: int
) -> tuple[list[Any], TrainState]:
    """The evaluations of a training that ended after ``cut`` saved states, and went on."""
    made: dict[int, Any] = {}

    def follow(state: TrainState, checkpoints: Checkpoints, cut: int | None = None) -> None:
        for evaluation in train(state, inputs, checkpoints, cut):
            made[evaluation.evaluation] = told(evaluation)

    with pytest.raises(Cut):
        follow(new(), Checkpoints(folder, 0.0), cut)
    torch.manual_seed(99)  # another process starts from other random numbers
    state = new()
    checkpoints = Checkpoints(folder, 0.0)
    assert checkpoints.restore(state) == NOTED
    assert state.step > 0
    follow(state, checkpoints)
    return [made[number] for number in sorted(made)], state


@pytest.mark.parametrize("cut", [1, 2, 3, 6])
@pytest.mark.parametrize("method", NEURAL)
def test_a_resumed_training_has_the_numbers_of_an_uninterrupted_one(
    method: str, cut: int, tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    inputs = inputs_for(method, tiny, eight)
    whole = new_state(method, tiny, inputs)
    expected = [told(evaluation) for evaluation in fit(whole, inputs, inputs)]
    assert len(expected) == EPOCHS
    found, state = interrupted(tmp_path, lambda: new_state(method, tiny, inputs), inputs, cut)
    assert found == expected
    for name, value in weights(whole).items():
        assert torch.equal(value, state.model.state_dict()[name]), name


def test_a_training_goes_on_in_the_middle_of_an_epoch(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    repeated = repeat(eight, 5)
    assert len(repeated) > LOSS_CHECK_STEPS

    def new() -> TrainState:
        return new_state("full", tiny, repeated, batch_size=1)

    expected = [told(evaluation) for evaluation in fit(new(), repeated, repeated)]
    found, state = interrupted(tmp_path, new, repeated, cut=2)
    assert state.epoch_steps == len(repeated)
    assert found == expected


def saved(tiny: Backbone, inputs: Any, folder: Path) -> tuple[TrainState, list[Path]]:
    """A training with two states saved; the paths of the states, newest first."""
    state = new_state("lora", tiny, inputs)
    with pytest.raises(Cut):
        list(train(state, inputs, Checkpoints(folder, 0.0), cut=4))
    files = sorted(folder.glob("*.safetensors"), reverse=True)
    assert len(files) == KEPT
    return state, files


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


TORN = {
    "half written": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "emptied": lambda p: p.write_bytes(b""),
    "missing": lambda p: p.unlink(),
    "one bit flipped": flip_a_bit,
    "its manifest missing": lambda p: p.with_suffix(".json").unlink(),
    "its manifest emptied": lambda p: p.with_suffix(".json").write_bytes(b""),
    "its manifest of another kind": lambda p: p.with_suffix(".json").write_text("[1]"),
    "its manifest flipped": lambda p: flip_a_bit(p.with_suffix(".json")),
}


@pytest.mark.faults
@pytest.mark.parametrize("harm", TORN)
def test_a_torn_state_falls_back_to_the_one_before(
    harm: str, tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    whole = new_state("lora", tiny, eight)
    expected = [told(evaluation) for evaluation in fit(whole, eight, eight)]
    _, (newest, before) = saved(tiny, eight, tmp_path)
    TORN[harm](newest)
    state = new_state("lora", tiny, eight)
    checkpoints = Checkpoints(tmp_path, 0.0)
    assert checkpoints.restore(state) == NOTED
    assert state.step == int(before.stem)
    rest = [told(evaluation) for evaluation in train(state, eight, checkpoints)]
    assert rest == expected[-len(rest) :]


@pytest.mark.faults
@pytest.mark.parametrize("harm", TORN)
def test_without_a_good_state_a_training_begins_anew(
    harm: str, tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    _, files = saved(tiny, eight, tmp_path)
    for path in files:
        TORN[harm](path)
    state = new_state("lora", tiny, eight)
    fresh = weights(state)
    assert Checkpoints(tmp_path, 0.0).restore(state) is None
    assert state.step == 0
    assert all(torch.equal(fresh[name], value) for name, value in weights(state).items())


def test_a_state_of_another_model_is_not_taken(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    saved(tiny, eight, tmp_path)
    other = new_state("lora", tiny, eight, rank=4)
    assert Checkpoints(tmp_path, 0.0).restore(other) is None
    assert other.step == 0


def test_states_are_saved_at_most_so_often_and_not_at_once(
    tiny: Backbone, eight: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path / "key", 60.0)
    state = new_state("lora", tiny, eight)
    for seconds, expected in [(0.0, 0), (59.0, 0), (60.0, 1), (100.0, 1), (121.0, 2)]:
        now[0] = 1000.0 + seconds
        state.step += 1
        checkpoints.save(state, None)
        assert len(list(tmp_path.rglob("*.json"))) == expected


def test_only_what_trains_is_saved(tiny: Backbone, eight: Tokens, tmp_path: Path) -> None:
    from safetensors import safe_open

    state, (newest, _) = saved(tiny, eight, tmp_path)
    with safe_open(newest, framework="pt") as file:
        names = {n.removeprefix("model.") for n in file.keys() if n.startswith("model.")}  # noqa: SIM118
    assert names == {name for name, p in state.model.named_parameters() if p.requires_grad}
    assert len(names) < len(list(state.model.parameters()))


@pytest.mark.faults
def test_a_torn_state_does_not_outlive_those_that_are_saved_after_it(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    _, files = saved(tiny, eight, tmp_path)
    for path in files:
        path.write_bytes(b"")
    state = new_state("lora", tiny, eight)
    checkpoints = Checkpoints(tmp_path, 0.0)
    checkpoints.restore(state)
    with pytest.raises(Cut):
        list(train(state, eight, checkpoints, cut=1))
    again = new_state("lora", tiny, eight)
    assert Checkpoints(tmp_path, 0.0).restore(again) == NOTED
    assert again.step == state.step > 0


@pytest.mark.faults
def test_a_disk_that_is_full_in_the_middle_of_a_state_does_not_end_the_training(
    tiny: Backbone, eight: Tokens, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    state = new_state("lora", tiny, eight)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        Checkpoints(tmp_path, 0.0).save(state, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert "no checkpoint in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.faults
def test_a_disk_that_takes_no_checkpoint_does_not_end_the_training(
    tiny: Backbone, eight: Tokens, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [told(e) for e in fit(new_state("lora", tiny, eight), eight, eight)]
    (tmp_path / "file").write_text("a file where the folder should be")
    state = new_state("lora", tiny, eight)
    made = train(state, eight, Checkpoints(tmp_path / "file" / "key", 0.0))
    assert [told(evaluation) for evaluation in made] == expected
    assert "no checkpoint in" in capsys.readouterr().err


def test_the_manifest_is_json_and_the_state_is_never_a_pickle(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    _, (newest, _) = saved(tiny, eight, tmp_path)
    assert set(json.loads(newest.with_suffix(".json").read_text())) == {"file", "sha256"}
    assert newest.read_bytes()[8:9] == b"{"  # safetensors: a length, then a JSON header
    shutil.rmtree(tmp_path)
