"""A GPU without room for a batch: half of it at a time, once, with the same gradients."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.test_contract import proposal_for, setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.checkpoint import Checkpoints
from tune_sentiment.config import PADDINGS
from tune_sentiment.methods import METHODS
from tune_sentiment.proposal import Proposal
from tune_sentiment.records import Training
from tune_sentiment.reports import reports
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import TrainState, fit
from tune_sentiment.trial_setup import TrialSetup, build_state

SAID = "CUDA out of memory. Tried to allocate 20.00 MiB"
BATCH = 5


class Scarce(Tokens):
    """Texts on a device that takes only so many of them at a time while it trains."""

    room: int
    used: list[int]
    since: int

    @classmethod
    def of(cls, tokens: Tokens, room: int, since: int = 0) -> "Scarce":
        """More than ``room`` texts fail, but for those of the first ``since`` batches."""
        made = cls(tokens.ids, tokens.offsets, tokens.labels, tokens.pad_id, tokens.max_length)
        for name, value in (("room", room), ("used", []), ("since", since)):
            object.__setattr__(made, name, value)
        return made

    def batch(self, items: Any, padding: str = "dynamic") -> Any:
        self.used.append(len(items))
        if len(self.used) > self.since and len(items) > self.room:
            raise torch.OutOfMemoryError(SAID)
        return super().batch(items, padding)


def tried(setup: TrialSetup, train: Tokens, validation: Tokens, **changes: Any) -> list[Any]:
    proposal = proposal_for("lora", **{"batch_size": BATCH, **changes})
    return list(reports(setup, proposal, train, validation, has_second_try=True))


def gradients_at_the_step(state: TrainState, train: Tokens, items: Any) -> tuple[Any, float]:
    """What the optimizer gets for a batch, and the batch's loss."""
    found: list[torch.Tensor] = []

    def note(*_: object) -> None:
        found.extend(p.grad.clone() for p in state.trainable if p.grad is not None)

    state.optimizer.register_step_pre_hook(note)
    state.model.eval()  # dropout draws differently for other shapes
    return found, float(state.take_step(train, items))


@pytest.mark.parametrize("method", ["full", "lora", "adapters"])
@pytest.mark.parametrize("padding", PADDINGS)
def test_half_a_batch_at_a_time_has_the_gradients_of_the_whole(
    padding: str, method: str, tiny: Backbone, eight: Tokens
) -> None:
    setup = setup_for(method, tiny, padding=padding)
    params = start_of(method, batch_size=7, label_smoothing=0.1, max_grad_norm=0.5)
    halves = setup.in_halves(params)
    assert halves is not None
    assert halves.plan["micro_batch_size"] == 4
    items = np.array([7, 0, 3, 1, 6, 2, 5])  # two parts of unequal size
    whole, parts = (build_state(s, params, 1, eight) for s in (setup, halves))
    with torch.no_grad():
        for state in (whole, parts):
            for parameter in state.trainable:
                parameter.add_(0.01)  # B and the adapters' way back begin at zero
    expected, loss = gradients_at_the_step(whole, eight, items)
    found, same_loss = gradients_at_the_step(parts, eight, items)
    assert len(found) == len(expected) == len(whole.trainable)
    assert max(float(gradient.abs().max()) for gradient in expected) > 1e-3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert same_loss == pytest.approx(loss, abs=1e-6)
    assert whole.step == parts.step == 1
    assert whole.schedule.get_last_lr() == parts.schedule.get_last_lr()


def test_a_lack_of_memory_is_tried_once_more_with_half_the_batch_at_a_time(
    tiny: Backbone, eight: Tokens
) -> None:
    scarce = Scarce.of(eight, room=3)
    made = tried(setup_for("lora", tiny), scarce, eight)
    assert [(r["status"], r["evaluation"]) for r in made] == [("running", 1), ("finished", 2)]
    for report in made:
        details = report["details"]
        assert (details["micro_batch_size"], details["accumulation"]) == (3, 2)
        assert "error" not in details
    assert scarce.used[0] == BATCH
    assert sorted(scarce.used[1:]) == sorted([3, 2, 3] * 2)  # five texts, three texts, two epochs


def test_the_second_try_has_the_numbers_of_a_training_in_halves(
    tiny: Backbone, eight: Tokens
) -> None:
    setup = setup_for("lora", tiny)
    made = tried(setup, Scarce.of(eight, room=3), eight)
    params = proposal_for("lora", batch_size=BATCH).params
    state = build_state(setup.at_a_time(3), params, 7, eight)
    expected = [(e.metrics, e.train_loss) for e in fit(state, eight, eight)]
    assert [(r["details"]["metrics"], r["details"]["train_loss"]) for r in made] == expected


def test_a_second_lack_of_memory_is_the_end(tiny: Backbone, eight: Tokens) -> None:
    scarce = Scarce.of(eight, room=2)
    [only] = tried(setup_for("lora", tiny), scarce, eight)
    assert (only["status"], only["evaluation"]) == ("oom", 1)
    assert scarce.used == [5, 3]
    assert only["details"]["error"] == f"OutOfMemoryError: {SAID}"
    assert (only["details"]["micro_batch_size"], only["details"]["accumulation"]) == (3, 2)


def test_a_batch_of_one_text_has_no_halves(tiny: Backbone, eight: Tokens) -> None:
    scarce = Scarce.of(eight, room=0)
    [only] = tried(setup_for("lora", tiny), scarce, eight, batch_size=1)
    assert (only["status"], scarce.used) == ("oom", [1])
    assert only["details"]["accumulation"] == 1


def test_on_a_cpu_a_lack_of_memory_is_the_end(tiny: Backbone, eight: Tokens) -> None:
    scarce = Scarce.of(eight, room=3)
    proposal = proposal_for("lora", batch_size=BATCH)
    [only] = reports(setup_for("lora", tiny), proposal, scarce, eight)
    assert (only["status"], scarce.used) == ("oom", [BATCH])


def test_another_error_has_no_second_try(tiny: Backbone, eight: Tokens) -> None:
    class Broken(Scarce):
        def batch(self, items: Any, padding: str = "dynamic") -> Any:
            self.used.append(len(items))
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    broken = Broken.of(eight, room=3)
    [only] = tried(setup_for("lora", tiny), broken, eight)
    assert (only["status"], broken.used) == ("failed", [BATCH])


def test_the_first_model_is_gone_before_the_second_is_built(
    tiny: Backbone, eight: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[list[bool]] = []
    built: list[Any] = []
    build = type(tiny).classifier

    def watched(self: Backbone, classes: Any) -> Any:
        alive.append([reference() is not None for reference in built])
        model = build(self, classes)
        built.append(weakref.ref(model))
        model.__dict__["itself"] = model  # as graphs and hooks do: only the collector frees it
        return model

    monkeypatch.setattr(type(tiny), "classifier", watched)
    gc.disable()  # nothing but the code under test collects
    try:
        tried(setup_for("lora", tiny), Scarce.of(eight, room=3, since=2), eight)
    finally:
        gc.enable()
    assert alive == [[], [False]]


def test_evaluations_that_were_told_are_not_told_again(tiny: Backbone, eight: Tokens) -> None:
    setup = setup_for("lora", tiny, max_epochs=3)
    first_epoch = 2  # batches: of five texts and of three
    made = tried(setup, Scarce.of(eight, room=3, since=first_epoch), eight)
    assert [r["evaluation"] for r in made] == [1, 2, 3]
    assert [r["details"]["accumulation"] for r in made] == [1, 2, 2]
    objectives = [r["objective"] for r in made]
    assert objectives == sorted(objectives)
    training = Training(proposal_for("lora", batch_size=BATCH))
    for sequence, report in enumerate(made, 1):
        assert training.note(report, sequence)
    record, _ = training.record("study", "val_accuracy", "finished", None, {})
    assert (record.micro_batch_size, record.accumulation) == (3, 2)
    assert (record.evaluations_run, record.error) == (3, None)


def saving(tiny: Backbone, folder: Path) -> TrialSetup:
    """Three epochs, with a state at each chance."""
    setup = setup_for("lora", tiny, max_epochs=3)
    return replace(setup, checkpoints=folder, checkpoint_seconds=0.0)


def cut_off(setup: TrialSetup, proposal: Proposal, eight: Tokens) -> None:
    """A second try that ends after the first evaluation was noted and its state saved."""
    begun = reports(setup, proposal, Scarce.of(eight, room=3), eight, has_second_try=True)
    assert next(begun)["details"]["accumulation"] == 2
    next(begun)
    begun.close()


def test_a_second_try_goes_on_from_the_last_state(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    scarce = Scarce.of(eight, room=3, since=2)
    made = tried(saving(tiny, tmp_path), scarce, eight)
    assert [r["evaluation"] for r in made] == [1, 2, 3]
    assert sum(scarce.used) == 8 + BATCH + 2 * 8  # one epoch, what had no room, the other two


def test_a_second_try_that_was_cut_off_goes_on_with_its_halves(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    setup, proposal = saving(tiny, tmp_path), proposal_for("lora", batch_size=BATCH)
    whole = tried(setup, Scarce.of(eight, room=3), eight)
    for path in (tmp_path / proposal.key).iterdir():
        path.unlink()
    cut_off(setup, proposal, eight)
    assert Checkpoints(tmp_path / proposal.key, 0.0).micro_batch_size() == 3
    scarce = Scarce.of(eight, room=3)
    rest = tried(setup, scarce, eight)
    assert max(scarce.used) == 3
    assert [r["details"]["micro_batch_size"] for r in rest] == [3] * len(rest)
    told = [r["details"]["metrics"] for r in whole]
    assert [r["details"]["metrics"] for r in rest] == told[-len(rest) :]
    assert rest[-1]["status"] == "finished"


def test_a_second_try_that_was_cut_off_has_no_third(
    tiny: Backbone, eight: Tokens, tmp_path: Path
) -> None:
    setup = saving(tiny, tmp_path)
    cut_off(setup, proposal_for("lora", batch_size=BATCH), eight)
    scarce = Scarce.of(eight, room=1)
    made = tried(setup, scarce, eight)
    assert [r["status"] for r in made] == ["running", "oom"]  # saved just before an evaluation
    assert scarce.used == [3]
    assert made[-1]["details"]["accumulation"] == 2


@pytest.mark.parametrize(
    "written", ["", "[1]", '{"micro_batch_size": "many"}', '{"micro_batch_size": -1}']
)
def test_a_manifest_that_says_nothing_of_use_means_whole_batches(
    written: str, tmp_path: Path
) -> None:
    (tmp_path / "000000001.json").write_text(written)
    for folder in (tmp_path, tmp_path / "none", None):
        assert Checkpoints(folder, 0.0).micro_batch_size() is None


@pytest.mark.parametrize("method", [n for n, m in METHODS.items() if not m.is_neural])
def test_a_method_without_batches_has_no_halves(method: str, tiny: Backbone) -> None:
    assert setup_for(method, tiny).in_halves(start_of(method)) is None
