"""What only a GPU can show: memory that is measured, shared, and not enough."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import CHECKOUT, repeat
from tests.methods.test_contract import proposal_for, setup_for
from tune_sentiment.backbone import Backbone
from tune_sentiment.footprint import Footprint, cards_here, measure
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.memory import limit_memory, release_memory, reset_peak_memory
from tune_sentiment.provenance import cores
from tune_sentiment.reports import reports
from tune_sentiment.slots import GPU_MARGIN
from tune_sentiment.tokens import Tokens
from tune_sentiment.trial_setup import TrialSetup

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
BATCH = 4096  # so that activations, not the allocator's steps of 20 MB, decide
HANGING = 600  # seconds
VISIBLE = "CUDA_VISIBLE_DEVICES"
TRIALS, AT_ONCE = 6, min(3, cores())


@pytest.fixture(autouse=True)
def _a_whole_card() -> Iterator[None]:
    release_memory("cuda")
    yield
    limit_memory("cuda", 1.0)
    release_memory("cuda")


@pytest.fixture(scope="module")
def many(eight: Tokens) -> Tokens:
    return repeat(eight, 2 * BATCH // len(eight))


def on_gpu(tiny: Backbone) -> TrialSetup:
    return replace(setup_for("lora", tiny, padding="fixed", precision="fp32"), device="cuda")


def params_of(batch_size: int) -> dict[str, Any]:
    return {**proposal_for("lora").params, "batch_size": batch_size, "targets": "all"}


def trained(setup: TrialSetup, train: Tokens, validation: Tokens) -> list[Any]:
    proposal = replace(proposal_for("lora"), params=params_of(BATCH))
    return list(reports(setup, proposal, train, validation))


def limit_bytes(count: int) -> None:
    """Let this process hold so many bytes, however little that is."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(count / total)


def test_a_card_says_what_it_is_and_what_is_free() -> None:
    cards = cards_here()
    assert len(cards) == torch.cuda.device_count() > 0
    for card in cards:
        assert card.name
        assert 0 < card.free <= card.room <= card.total


def test_a_process_takes_no_more_than_its_share_and_the_next_training_another() -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    limit_memory("cuda", 0.2)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(int(0.25 * total), dtype=torch.uint8, device="cuda")
    limit_memory("cuda", 0.5)
    assert torch.empty(int(0.25 * total), dtype=torch.uint8, device="cuda").is_cuda


def test_a_larger_batch_is_measured_to_take_more(tiny: Backbone, many: Tokens) -> None:
    def taken(batch_size: int) -> Footprint:
        release_memory("cuda")
        return measure(on_gpu(tiny), params_of(batch_size), 7, many, many)

    small, large = taken(BATCH // 4), taken(BATCH)
    assert 2 * small.reserved < large.reserved < large.total
    assert 0 < large.context < large.total // 2
    assert large.total == torch.cuda.get_device_properties(0).total_memory


def test_what_was_measured_is_enough_for_a_training(tiny: Backbone, many: Tokens) -> None:
    found = measure(on_gpu(tiny), params_of(BATCH), 7, many, many)
    release_memory("cuda")
    limit_bytes(round((1 + GPU_MARGIN) * found.reserved))
    made = trained(on_gpu(tiny), many, many)
    assert [(r["status"], r["details"]["accumulation"]) for r in made] == [
        ("running", 1),
        ("finished", 1),
    ]


def test_a_batch_without_room_is_trained_in_halves(tiny: Backbone, many: Tokens) -> None:
    def peaks(setup: TrialSetup) -> tuple[int, int]:
        reset_peak_memory("cuda")
        trained(setup, many, many)
        found = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        release_memory("cuda")
        return found

    whole, _ = peaks(on_gpu(tiny))
    _, halves = peaks(on_gpu(tiny).at_a_time(BATCH // 2))
    assert halves < 0.8 * whole
    limit_bytes((whole + halves) // 2)
    made = trained(on_gpu(tiny), many, many)
    assert [r["status"] for r in made] == ["running", "finished"]
    for report in made:
        details = report["details"]
        assert (details["micro_batch_size"], details["accumulation"]) == (BATCH // 2, 2)


@pytest.mark.slow
def test_a_search_measures_once_and_packs_its_trials(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one_card = os.environ.get(VISIBLE, "0").partition(",")[0]

    def search(name: str) -> str:
        words = f"--method lora --dataset demo --model tiny --trials {TRIALS} --max-epochs 3 "
        words += f"--concurrency {AT_ONCE} --confirm-seeds 0 --results {tmp_path / name}"
        done = subprocess.run(
            [sys.executable, "run_search.py", *words.split()],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=HANGING,
            check=False,
            env={**os.environ, "TUNE_SENTIMENT_CACHE": str(cache), VISIBLE: one_card},
        )
        assert done.returncode == 0, done.stderr
        return next(line for line in done.stderr.splitlines() if " GB at batch " in line)

    first = search("one")
    [kept] = cache.glob("gpu-memory-*.json")
    written = kept.stat().st_mtime_ns
    assert re.search(rf"-lora-\w+: [\d.]+ GB of \d+ GB at batch 32: {AT_ONCE} trials a GPU", first)
    assert json.loads(kept.read_text())["reserved"] > 0
    assert search("two") == first
    assert kept.stat().st_mtime_ns == written
    [folder] = (tmp_path / "one").glob("*-lora-*")
    trials = StudyFolder(folder).trials()
    assert len(trials) == TRIALS
    assert {trial["gpus"] for trial in trials} == {1 / AT_ONCE}
    spans = [(trial["started_at"], trial["ended_at"]) for trial in trials]
    assert any(a[0] < b[1] and b[0] < a[1] for a, b in combinations(spans, 2))
    assert {trial["device"] for trial in trials} == {torch.cuda.get_device_name(0)}
    assert {trial["accumulation"] for trial in trials} == {1}
