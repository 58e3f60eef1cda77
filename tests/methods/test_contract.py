"""What holds for every method, on every backbone family, from its space's own start points."""

from typing import Any

import numpy as np
import pytest
import torch

from search_spaces import SPACES
from tests.conftest import FAMILIES
from tune_sentiment.backbone import Backbone
from tune_sentiment.classifiers import NeuralClassifier
from tune_sentiment.config import defaults, owners, split
from tune_sentiment.domains import contains
from tune_sentiment.features import frozen_features
from tune_sentiment.methods import COMPARED, METHODS
from tune_sentiment.proposal import Proposal, trial_key
from tune_sentiment.reports import Objective, evaluations_of, reports
from tune_sentiment.structure import head_names
from tune_sentiment.tokens import Tokens
from tune_sentiment.train import TrainState, fit
from tune_sentiment.trial_setup import TrialSetup, build_model, build_state

NEURAL = [name for name, method in METHODS.items() if method.is_neural]
ON_TOKENS = [name for name, method in METHODS.items() if not method.reads_features]
CLOSED = [name for name, method in METHODS.items() if not method.is_neural]
CLASSES = ("negative", "positive")
PLAN = {
    "max_epochs": 2,
    "evaluations_per_epoch": 1,
    "precision": "fp32",
    "padding": "bucketed",
}


def setup_for(method: str, backbone: Backbone, **plan: Any) -> TrialSetup:
    return TrialSetup(
        method=method,
        backbone=backbone,
        classes=CLASSES,
        metric="val_accuracy",
        plan={**PLAN, **plan} if METHODS[method].is_neural else {},
        device="cpu",
        num_threads=1,
        max_length=512,
    )


def start_of(method: str, **changes: Any) -> dict[str, Any]:
    return {**SPACES[method].start[0], **changes}


def inputs_for(method: str, backbone: Backbone, eight: Tokens) -> Any:
    """The eight sentences as the method reads them."""
    return frozen_features(backbone, eight, "cpu") if METHODS[method].reads_features else eight


def proposal_for(method: str, seed: int = 7, **changes: Any) -> Proposal:
    params = start_of(method, **changes)
    return Proposal(number=0, key=trial_key(params, seed), origin="start", params=params, seed=seed)


def test_the_tables_have_the_same_methods() -> None:
    assert len(METHODS) >= 8
    assert set(METHODS) == set(SPACES)
    assert set(COMPARED) <= set(METHODS)
    assert NEURAL
    assert CLOSED == ["svm"]


@pytest.mark.parametrize("method", METHODS)
def test_every_sampled_key_has_one_owner_and_every_start_point_is_accepted(method: str) -> None:
    row, space = METHODS[method], SPACES[method]
    owned = owners(row.hyperparameters, is_neural=row.is_neural)
    assert set(space.params) <= set(owned)
    assert set(owned) == set(space.params) | set(defaults(owned))
    assert space.start
    domains = space.distributions()
    for point in space.start:
        assert all(contains(domains[name], value) for name, value in point.items())
        plan = {**PLAN, "seed": 1} if row.is_neural else {}
        split(point, row.hyperparameters, is_neural=row.is_neural, **plan)


@pytest.mark.parametrize("method", NEURAL)
def test_a_new_model_says_what_the_backbone_with_that_head_says(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    model, _ = build_model(setup_for(method, backbone), start_of(method), seed=3)
    torch.manual_seed(3)
    plain = backbone.classifier(CLASSES).eval()
    items = np.arange(len(eight))
    inputs = inputs_for(method, backbone, eight)
    with torch.inference_mode():
        expected = plain(**eight.batch(items)).logits
        made = model.eval()(**inputs.batch(items)).logits
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5 if inputs is not eight else 0)
    assert expected.abs().max() > 0


@pytest.mark.parametrize("method", NEURAL)
def test_exactly_what_requires_gradients_moves_and_all_of_it(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    setup = setup_for(method, backbone)
    inputs = inputs_for(method, backbone, eight)
    state = build_state(setup, start_of(method, lr=1e-3, warmup_ratio=0.0), 3, inputs)
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
    state.model.train()
    for _ in range(3):
        state.take_step(inputs, np.arange(len(eight)))
    trainable = {n for n, p in state.model.named_parameters() if p.requires_grad}
    moved = {n for n, p in state.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == trainable
    assert moved
    heads = tuple(f"{name}." for name in head_names(state.model))
    assert {n for n, _ in state.model.named_parameters() if n.startswith(heads)} <= moved


@pytest.mark.parametrize("method", NEURAL)
def test_it_memorises_eight_sentences(method: str, backbone: Backbone, eight: Tokens) -> None:
    params = start_of(method, lr=1e-2, batch_size=8, warmup_ratio=0.1)
    inputs = inputs_for(method, backbone, eight)
    state = build_state(setup_for(method, backbone, max_epochs=150), params, 3, inputs)
    state.model.train()
    for _ in range(150):
        state.take_step(inputs, np.arange(len(eight)))
    found = NeuralClassifier(state.model, "fp32").scores(inputs).argmax(axis=1)
    assert found.tolist() == eight.labels.tolist()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_numbers(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    inputs = inputs_for(method, backbone, eight)
    setup = setup_for(method, backbone)

    def losses(seed: int) -> list[Any]:
        proposal = proposal_for(method, seed)
        made = list(evaluations_of(setup, proposal, inputs, inputs, Objective("max")))
        assert made
        return [(e.train_loss, e.metrics) for e in made]

    assert losses(7) == losses(7)
    if METHODS[method].is_neural:
        assert losses(7) != losses(8)


@pytest.mark.parametrize("method", NEURAL)
def test_the_seed_gives_the_head_its_first_values(method: str, backbone: Backbone) -> None:
    setup = setup_for(method, backbone)

    def head(seed: int) -> torch.Tensor:
        model, _ = build_model(setup, start_of(method), seed)
        new = model.get_submodule(head_names(model)[0])
        return torch.cat([p.detach().flatten() for p in new.parameters()])

    assert torch.equal(head(7), head(7))
    assert not torch.equal(head(7), head(8))


@pytest.mark.parametrize("method", NEURAL)
def test_the_caller_may_stop_after_one_evaluation(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    inputs = inputs_for(method, backbone, eight)
    state = build_state(setup_for(method, backbone, max_epochs=5), start_of(method), 3, inputs)
    evaluations = fit(state, inputs, inputs)
    first = next(evaluations)
    evaluations.close()
    assert (first.evaluation, first.status) == (1, "running")
    assert state.step == state.epoch_steps


@pytest.mark.parametrize("method", NEURAL)
def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    setup = setup_for(method, backbone, max_epochs=5)
    proposal = proposal_for(method)
    inputs = inputs_for(method, backbone, eight)
    state = build_state(setup, proposal.params, 3, inputs)
    with torch.no_grad():
        next(p for p in state.model.parameters() if p.requires_grad).fill_(float("nan"))
    made = list(fit(state, inputs, inputs))
    assert [e.status for e in made] == ["diverged"]
    assert made[0].metrics == {}
    assert made[0].classifier is None


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_leaves_gives_the_same_scores_again(
    method: str, backbone: Backbone, eight: Tokens, tmp_path: Any
) -> None:
    from tune_sentiment.winner import load_classifier

    inputs = inputs_for(method, backbone, eight)
    setup, proposal = setup_for(method, backbone), proposal_for(method)
    *_, last = evaluations_of(setup, proposal, inputs, inputs, Objective("max"))
    expected = last.classifier.scores(inputs)
    kept = tmp_path / "kept.safetensors"
    assert list(reports(setup, proposal, inputs, inputs, kept))
    again = load_classifier(setup, proposal, kept, inputs)
    np.testing.assert_array_equal(again.scores(inputs), expected)
    assert again.num_trainable_params == last.classifier.num_trainable_params


@pytest.mark.parametrize("method", METHODS)
def test_a_report_has_every_measured_field_of_the_record(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    is_neural = METHODS[method].is_neural
    inputs = inputs_for(method, backbone, eight)
    *_, last = reports(setup_for(method, backbone), proposal_for(method), inputs, inputs)
    details = last["details"]
    measured = {"train_seconds", "eval_seconds", "train_samples_per_second", "host", "device"}
    measured |= {"peak_memory_bytes", "num_trainable_params", "num_total_params", "num_threads"}
    if is_neural:
        measured |= {"precision", "micro_batch_size", "accumulation", "train_loss"}
        measured |= {"train_steps_per_second"}
        assert details["metrics"]["val_loss"] > 0
    else:
        measured |= {"converged"}
        assert details["metrics"]["val_loss"] is None
    if METHODS[method].reads_features:
        measured |= {"features_seconds"}
    assert {name for name in measured if details.get(name) is None} == set()
    assert details["metrics"]["val_f1"] is not None


@pytest.mark.parametrize("method", ON_TOKENS)
def test_running_out_of_memory_is_reported_as_oom_with_what_was_reached(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    class Exhausted(Tokens):
        batches = 0

        def batch(self, items: Any, padding: str = "dynamic") -> Any:
            Exhausted.batches += 1
            if Exhausted.batches > 1:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return super().batch(items, padding)

    scarce = Exhausted(eight.ids, eight.offsets, eight.labels, eight.pad_id, eight.max_length)
    made = list(reports(setup_for(method, backbone), proposal_for(method), scarce, eight))
    assert [(r["status"], r["evaluation"]) for r in made] == [("running", 1), ("oom", 2)]
    assert made[1]["objective"] == made[0]["objective"]
    assert "can't allocate" in made[1]["details"]["error"]
    assert made[1]["details"]["num_trainable_params"] > 0


def test_another_error_is_not_taken_for_a_lack_of_memory(tiny: Backbone, eight: Tokens) -> None:
    class Broken(Tokens):
        def batch(self, items: Any, padding: str = "dynamic") -> Any:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    broken = Broken(eight.ids, eight.offsets, eight.labels, eight.pad_id, eight.max_length)
    [only] = reports(setup_for("full", tiny), proposal_for("full"), broken, eight)
    assert (only["status"], only["evaluation"]) == ("failed", 1)
    assert only["details"]["error"].startswith("RuntimeError: mat1")


def test_all_families_are_what_they_are_called(families: dict[str, Backbone]) -> None:
    assert tuple(families) == FAMILIES
    for name, found in families.items():
        assert found.classifier(CLASSES).config.model_type == name


@pytest.mark.parametrize("method", [name for name in NEURAL if METHODS[name].is_plain])
def test_a_merged_model_reads_tokens_and_has_the_names_of_a_plain_one(
    method: str, backbone: Backbone, eight: Tokens
) -> None:
    setup = setup_for(method, backbone)
    inputs = inputs_for(method, backbone, eight)
    *_, last = evaluations_of(
        setup, proposal_for(method, lr=1e-3), inputs, inputs, Objective("max")
    )
    expected = last.classifier.scores(inputs)
    merge = METHODS[method].merge
    if merge is not None:
        merge(last.classifier.model)
    np.testing.assert_allclose(last.classifier.scores(eight), expected, atol=1e-5)
    plain = backbone.classifier(CLASSES)
    assert set(last.classifier.model.state_dict()) == set(plain.state_dict())


def test_a_state_knows_what_trains(backbone: Backbone, eight: Tokens) -> None:
    for method in NEURAL:
        inputs = inputs_for(method, backbone, eight)
        state = build_state(setup_for(method, backbone), start_of(method), 3, inputs)
        assert isinstance(state, TrainState)
        assert sum(p.numel() for p in state.trainable) > 0
