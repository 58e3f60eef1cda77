"""Checkpoints in an object store: another machine goes on from the newest that is whole."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.methods.test_contract import inputs_for, proposal_for, setup_for
from tests.store.conftest import Machine, stored
from tests.store.s3_server import Asked, Road
from tests.test_checkpoint import NOTED, Cut, flip_a_bit, new_state, train, weights
from tune_sentiment.backbone import Backbone
from tune_sentiment.checkpoint import KEPT, Checkpoints
from tune_sentiment.places import copy_of, place_of, results_folder
from tune_sentiment.records import STATUSES
from tune_sentiment.reports import STORE_AWAY, reports
from tune_sentiment.tokens import Tokens

pytestmark = [pytest.mark.slow, pytest.mark.faults]
PART = "s/checkpoints/k"


def folder_of(uri: str) -> Path:
    return results_folder(uri) / PART


def saved(uri: str, tiny: Backbone, eight: Tokens, cut: int) -> None:
    """A training that ends after some saved states."""
    inputs = inputs_for("lora", tiny, eight)
    with pytest.raises(Cut):
        list(train(new_state("lora", tiny, inputs), inputs, Checkpoints(folder_of(uri), 0.0), cut))


def gone_on(uri: str, tiny: Backbone, eight: Tokens) -> tuple[int, dict[str, torch.Tensor]]:
    """Step and weights with which a training goes on; step 0 is a new one."""
    state = new_state("lora", tiny, inputs_for("lora", tiny, eight))
    objective = Checkpoints(folder_of(uri), 0.0).restore(state)
    assert objective == (NOTED if state.step else None)
    return state.step, weights(state)


def test_another_machine_goes_on_where_one_ended(
    uri: str, tiny: Backbone, eight: Tokens, machine: Machine
) -> None:
    saved(uri, tiny, eight, cut=4)
    names = {path.name for path in folder_of(uri).iterdir()}
    assert stored(uri) == {f"{PART}/{name}" for name in names}
    assert len(names) == 2 * KEPT
    step, here = gone_on(uri, tiny, eight)
    machine("there")
    assert not folder_of(uri).exists()
    found, there = gone_on(uri, tiny, eight)
    assert found == step > 0
    assert all(torch.equal(value, there[name]) for name, value in here.items())


def test_a_machine_that_has_an_older_state_goes_on_from_the_newer_one_elsewhere(
    uri: str, tiny: Backbone, eight: Tokens, machine: Machine
) -> None:
    saved(uri, tiny, eight, cut=2)
    first, _ = gone_on(uri, tiny, eight)
    machine("there")
    inputs = inputs_for("lora", tiny, eight)
    checkpoints, state = Checkpoints(folder_of(uri), 0.0), new_state("lora", tiny, inputs)
    checkpoints.restore(state)
    with pytest.raises(Cut):
        list(train(state, inputs, checkpoints, cut=3))
    newest, _ = gone_on(uri, tiny, eight)
    machine("here")
    assert gone_on(uri, tiny, eight)[0] == newest > first


@pytest.mark.parametrize("lost", [".safetensors", ".json"])
def test_half_an_upload_does_not_count(
    lost: str, uri: str, tiny: Backbone, eight: Tokens, machine: Machine, road: Road
) -> None:
    saved(uri, tiny, eight, cut=2)
    whole, _ = gone_on(uri, tiny, eight)

    def rule(asked: Asked) -> str | None:
        return "refused" if asked.method == "PUT" and asked.path.endswith(lost) else None

    inputs, folder = inputs_for("lora", tiny, eight), folder_of(uri)
    checkpoints, state = Checkpoints(folder, 0.0), new_state("lora", tiny, inputs)
    checkpoints.restore(state)
    with road.ruled(rule), pytest.raises(Cut):  # the training goes on without checkpoints
        list(train(state, inputs, checkpoints, cut=2))
    assert state.step > whole
    machine("there")
    assert gone_on(uri, tiny, eight)[0] == whole


def test_a_state_that_is_not_what_its_manifest_says_is_passed_over_for_the_one_before(
    uri: str, tiny: Backbone, eight: Tokens, machine: Machine, tmp_path: Path
) -> None:
    saved(uri, tiny, eight, cut=4)
    newest, _ = gone_on(uri, tiny, eight)
    [*_, torn] = sorted(folder_of(uri).glob("*.safetensors"))
    flip_a_bit(torn)  # here only: the store's comes down again
    assert gone_on(uri, tiny, eight)[0] == newest
    shutil.copy(torn, tmp_path / "torn")
    flip_a_bit(tmp_path / "torn")
    copy = copy_of(torn)
    assert copy is not None
    copy.objects.put(f"{PART}/{torn.name}", tmp_path / "torn")
    machine("there")
    assert 0 < gone_on(uri, tiny, eight)[0] < newest
    assert not any(torn.stem in name for name in stored(uri))  # else it would be the newest again


@pytest.mark.parametrize("away", ["at the start", "at the end"])
def test_a_store_that_is_away_for_a_worker_is_reported_as_no_failure_of_the_training(
    away: str, uri: str, tiny: Backbone, eight: Tokens, machine: Machine, road: Road
) -> None:
    folder = folder_of(uri).parent
    proposal = proposal_for("lora")
    kept = folder.with_name("confirm") / f"{proposal.key}.safetensors"
    setup = replace(setup_for("lora", tiny), storage=place_of(folder), checkpoints=folder)

    def rule(asked: Asked) -> str | None:
        return "refused" if away == "at the start" or asked.path.endswith(kept.name) else None

    with road.ruled(rule):
        *before, last = reports(setup, proposal, eight, eight, kept)
    assert [each["status"] for each in before] == ([] if away == "at the start" else ["running"])
    assert last["status"] == STORE_AWAY
    assert STORE_AWAY not in STATUSES
    assert last["details"]["error"].startswith(f"{uri}/s/")
    assert [each["status"] for each in reports(setup, proposal, eight, eight, kept)][-1] == (
        "finished"
    )


def test_an_upload_in_parts_comes_back_as_it_was(
    uri: str, machine: Machine, tmp_path: Path
) -> None:
    from tune_sentiment.durable import fetched, sha256_of, writing
    from tune_sentiment.objects import PART_BYTES

    large = folder_of(uri) / "1.safetensors"
    with writing(large) as unfinished:
        unfinished.write_bytes(bytes(range(256)) * (3 * PART_BYTES // 256 + 5))
    digest = sha256_of(large)
    machine("there")
    other = folder_of(uri) / large.name
    assert other != large
    assert not other.exists()
    assert fetched(other)
    assert sha256_of(other) == digest
