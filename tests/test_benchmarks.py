"""The benchmarks' own arithmetic, and that each of them runs. No test asserts a speed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import harness, headlines, results
from benchmarks.floors import encoding_flops, training_flops
from benchmarks.harness import OURS, Rounds, measure, missing
from benchmarks.trial_tax import Pair
from tests.conftest import CHECKOUT
from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.provenance import cores
from tune_sentiment.tokens import Tokens


def test_rounds_go_forwards_and_backwards_in_turn() -> None:
    ran: list[str] = []

    def side(name: str) -> float:
        ran.append(name)
        return float(len(ran))

    found = measure({name: lambda name=name: side(name) for name in (OURS, "a", "b")}, 2, print)
    assert ran == [OURS, "a", "b", "b", "a", OURS]
    assert found.costs == {OURS: [1.0, 6.0], "a": [2.0, 5.0], "b": [3.0, 4.0]}


def test_a_ratio_is_the_peers_cost_over_ours_round_by_round() -> None:
    rounds = Rounds({OURS: [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 20.0]})
    (row,) = rounds.rows("work", {"peer": 2.5}, limit=0.5)
    assert (row["ratio"], row["low"], row["high"], row["rounds"]) == (3.0, 2.0, 5.0, 3)
    assert (row["target"], row["limit_fraction"]) == (2.5, 0.25)


def test_the_table_says_what_was_missed_and_what_was_not_run() -> None:
    rounds = Rounds({OURS: [1.0, 2.0], "fast": [3.0, 6.0], "slow": [1.0, 2.0]})
    rows: list[dict[str, Any]] = rounds.rows("work", {"fast": 2.0, "slow": 2.0})
    rows.append(missing("other work", "absent", "it needs a GPU"))
    rows.append({"what": "memory", "peer": "at most 1", "value": "0.5", "is_met": True})
    around = {
        "time": "2026-01-01T00:00:00",
        "commit": "abc",
        "device": "a CPU",
        "cores": 2,
        "load": [0.1],
        "sgemm_gflops": 100.0,
        "python": "3",
        "versions": {"torch": "2"},
    }
    text = results.section({"rows": rows, "circumstances": around})
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", "work", "fast", "3.00", "3.00 to 3.00", "2", "2, met", "", ""] in lines
    assert ["", "work", "slow", "1.00", "1.00 to 1.00", "2", "2, missed", "", ""] in lines
    assert any("not run: it needs a GPU" in line for line in lines)
    assert any("0.5" in line and "met" in line for line in lines)
    assert "2 cores, load 0.1 before" in text


def test_the_committed_results_are_those_of_the_records(tmp_path: Path) -> None:
    results.write(tmp_path / "RESULTS.md")
    assert (tmp_path / "RESULTS.md").read_text() == results.RESULTS.read_text()


def test_readme_has_the_records_lines_and_none_of_ours_against_ours(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(headlines.README.read_text().replace("Trainer", "another"))
    headlines.write(copy)
    written = headlines.lines()
    assert written in headlines.README.read_text()
    assert written in copy.read_text()
    assert "ours again" not in written
    assert copy.read_text().count("\n") == headlines.README.read_text().count("\n")
    copy.write_text("no marks")
    with pytest.raises(ValueError, match="no place"):
        headlines.write(copy)


def test_readme_says_which_side_did_not_get_there(tmp_path: Path) -> None:
    row = missing("12 LoRA trials, to a target", "Optuna", "ours did not get there")
    (tmp_path / "study_end_to_end.json").write_text(json.dumps({"rows": [row]}))
    [line] = [line for line in headlines.lines(tmp_path).splitlines() if "12 LoRA" in line]
    assert [cell.strip() for cell in line.split("|")[2:5]] == [
        "Optuna",
        "-",
        "ours did not get there",
    ]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_floor_counts_each_product_by_hand(method: str, tiny: Backbone, eight: Tokens) -> None:
    params = start_of(method, **({"targets": "qv", "rank": 4} if method == "lora" else {}))
    config = tiny.classifier(("a", "b")).config
    width, inner, layers = config.dim, config.hidden_dim, config.n_layers
    weights = layers * (4 * width * width + 2 * width * inner)
    if method == "full":
        products = 3 * weights
    else:  # the first layer's q, k and v read embeddings, which need no gradient
        inserted = 2 * 2 * 4 * width  # A and B of q and v
        products = 2 * weights - 3 * width * width + inserted * (3 * layers - 1)
    count, scores = int(eight.lengths.sum()), 4 * width * layers * np.square(eight.lengths).sum()
    assert (
        training_flops(setup_for(method, tiny), params, eight) == 2 * products * count + 3 * scores
    )
    assert encoding_flops(tiny, eight) == 2 * weights * count + scores


def test_what_a_study_costs_is_told_apart_from_what_a_trial_costs() -> None:
    start, each = 5.0, 1.02
    found = {
        "first_seconds": start + 4 * each / cores(),
        "all_seconds": start + 40 * each / cores(),
        "first_bytes": 1e6,
        "all_bytes": 5e6,
    }
    pair = Pair(1.0, 4, 40, found)
    assert pair.marginal * cores() == pytest.approx(0.02)
    assert pair.start == pytest.approx(start)
    assert pair.grown == 1e5


@pytest.mark.data
@pytest.mark.slow
def test_every_benchmark_runs(real_data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=CHECKOUT,
        env={**os.environ, "TUNE_SENTIMENT_DATA": str(real_data)},
        capture_output=True,
        text=True,
        timeout=2700,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for title in results.TITLES.values():
        assert title in done.stdout
    assert "Not run" not in done.stdout
    assert "ours again" in done.stdout


def test_records_hold_no_path_of_the_machine() -> None:
    for path in harness.RECORDS.glob("*.json"):
        record = json.loads(path.read_text())
        assert record["rows"]
        assert str(Path.home()) not in path.read_text()
