import numpy as np
import pytest
import torch

from tests.conftest import repeat
from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.parameter_groups import parameter_groups
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import LOSS_CHECK_STEPS, fit
from tune_sentiment.trial_setup import build_model, build_state


def test_biases_and_norms_do_not_decay(tiny: Backbone) -> None:
    model, config = build_model(setup_for("full", tiny), start_of("full", weight_decay=0.3), 1)
    decaying = {
        id(p)
        for group in parameter_groups(model, config)
        if group["weight_decay"]
        for p in group["params"]
    }
    for name, parameter in model.named_parameters():
        is_spared = name.endswith("bias") or "layer_norm" in name.lower() or "LayerNorm" in name
        assert (id(parameter) in decaying) == (not is_spared), name


def test_the_head_has_its_own_learning_rate(tiny: Backbone) -> None:
    params = start_of("lora", lr=1e-3, head_lr_over_lr=10)
    model, config = build_model(setup_for("lora", tiny), params, 1)
    rates = {
        name: group["lr"]
        for group in parameter_groups(model, config)
        for name, p in model.named_parameters()
        if any(p is mine for mine in group["params"])
    }
    assert rates["classifier.weight"] == rates["pre_classifier.bias"] == pytest.approx(1e-2)
    assert {rate for name, rate in rates.items() if "lora_" in name} == {1e-3}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_schedule_is_planned_for_all_epochs(
    tiny: Backbone, eight: Tokens, schedule: str
) -> None:
    params = start_of("full", lr=1e-3, batch_size=2, warmup_ratio=0.25, schedule=schedule)
    state = build_state(setup_for("full", tiny, max_epochs=4), params, 1, eight)
    rates = []
    for epoch_evaluation in fit(state, eight, eight):
        rates.append((epoch_evaluation.steps, state.schedule.get_last_lr()[0]))
    assert [steps for steps, _ in rates] == [4, 8, 12, 16]
    halfway = 2 / 3 if schedule == "linear" else 0.75
    expected = [1.0, halfway, 1 / 3 if schedule == "linear" else 0.25, 0.0]
    assert [rate / 1e-3 for _, rate in rates] == pytest.approx(expected, abs=1e-6)


def test_fewer_evaluations_keep_the_numbers_of_the_longer_training(
    tiny: Backbone, eight: Tokens
) -> None:
    def run(evaluations: int | None) -> list[object]:
        state = build_state(setup_for("lora", tiny, max_epochs=4), start_of("lora"), 1, eight)
        return [(e.train_loss, e.metrics) for e in fit(state, eight, eight, evaluations)]

    assert run(2) == run(None)[:2]


def test_evaluations_within_an_epoch_cut_it_evenly(tiny: Backbone, eight: Tokens) -> None:
    setup = setup_for("full", tiny, max_epochs=2, evaluations_per_epoch=4)
    state = build_state(setup, start_of("full", batch_size=1), 1, eight)
    made = list(fit(state, eight, eight))
    assert [(e.evaluation, e.steps, e.epoch) for e in made] == [
        (i, 2 * i, i / 4) for i in range(1, 9)
    ]
    assert [e.samples for e in made] == [2 * i for i in range(1, 9)]


def test_micro_batches_accumulate_to_the_same_step(tiny: Backbone, eight: Tokens) -> None:
    def after(micro: int | None) -> torch.Tensor:
        setup = setup_for("full", tiny, micro_batch_size=micro)
        state = build_state(setup, start_of("full", lr=1e-3), 1, eight)
        state.model.eval()  # dropout draws differently for other shapes
        for _ in range(3):
            state.take_step(eight, np.arange(len(eight)))
        weights: torch.Tensor = state.model.classifier.weight.detach()
        return weights

    torch.testing.assert_close(after(3), after(None), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_train(tiny: Backbone, eight: Tokens, precision: str) -> None:
    setup = setup_for("full", tiny, max_epochs=30, precision=precision)
    state = build_state(setup, start_of("full", lr=5e-3, batch_size=8), 1, eight)
    made = list(fit(state, eight, eight))
    assert made[-1].status == "finished"
    assert made[-1].train_loss is not None
    assert made[0].train_loss is not None
    assert made[-1].train_loss < 0.5 * made[0].train_loss


def test_gradients_are_clipped(tiny: Backbone, eight: Tokens) -> None:
    def norm_at_the_step(limit: float) -> float:
        params = start_of("full", max_grad_norm=limit)
        state = build_state(setup_for("full", tiny), params, 1, eight)
        norms: list[float] = []

        def note(*_: object) -> None:
            gradients = [p.grad for p in state.trainable if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(gradients)))

        state.optimizer.register_step_pre_hook(note)
        state.take_step(eight, np.arange(len(eight)))
        return norms[0]

    free = norm_at_the_step(1e6)
    assert free > 1e-2
    assert norm_at_the_step(1e-3) == pytest.approx(1e-3, rel=1e-2)


def test_a_training_that_diverged_stops_long_before_the_next_evaluation(
    tiny: Backbone, eight: Tokens
) -> None:
    many = repeat(eight, 5)
    state = build_state(setup_for("full", tiny), start_of("full", batch_size=1), 1, many)
    with torch.no_grad():
        state.model.classifier.bias.fill_(float("inf"))
    made = list(fit(state, many, eight))
    assert [e.status for e in made] == ["diverged"]
    assert made[0].steps == LOSS_CHECK_STEPS < len(many)


def test_label_smoothing_raises_the_training_loss_of_a_sure_model(
    tiny: Backbone, eight: Tokens
) -> None:
    def last_loss(smoothing: float) -> float:
        params = start_of("full", lr=5e-3, batch_size=8, label_smoothing=smoothing)
        state = build_state(setup_for("full", tiny, max_epochs=30), params, 1, eight)
        loss = list(fit(state, eight, eight))[-1].train_loss
        assert loss is not None
        return loss

    assert last_loss(0.2) > last_loss(0.0) + 0.1


def test_the_loss_curve_has_at_most_twenty_means(tiny: Backbone, eight: Tokens) -> None:
    state = build_state(setup_for("full", tiny), start_of("full", batch_size=1), 1, eight)
    first = next(fit(state, eight, eight))
    assert len(first.train_loss_curve) == 8
    assert first.train_loss == pytest.approx(np.mean(first.train_loss_curve), abs=1e-5)
