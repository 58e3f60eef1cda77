"""The lab reports' experiments: the table below was read from their texts, not from the code."""

import re
from pathlib import Path
from typing import Any

import pytest

from run_search import main, plan
from search_spaces.presets import PRESETS
from tune_sentiment.options import build_parser
from tune_sentiment.slots import Machine, Slots, plan_slots

# Report 000: "--epochs (default: 10)", "--batch_size (default: 24)", "--lr (default: 2e-5)",
# alpha 32, rank 8, "q_lin, k_lin, v_lin, out_lin, lin1, and lin2"; SST-2 "5 epochs instead of 10".
ALL_SIX = {"lr": 2e-5, "batch_size": 24, "rank": 8, "alpha": 32, "targets": "all"}
# Report 001: "--epochs 5 --batch_size 16" in its commands, 3 by default; r=8 and r=16 at both
# learning rates; r=8, 16 and 32 on SST-2.
RATES = (2e-5, 2e-4)
# Report 002: "--epochs (default: 3)", 16, 5e-5; r=8, alpha 16, dropout 0.1, four attention maps.
THIRD = {"lr": 5e-5, "batch_size": 16}
# Report 003: "batch size of 16 and 5 epochs", both rates; rank=8/α=32 and rank=16/α=64; the
# attention maps, or lin1 and lin2, too; the padding comparison at 2e-5 with rank=8, alpha=32.
FOURTH = [
    {"lr": lr, "batch_size": 16, "rank": rank, "alpha": alpha, "targets": targets}
    for lr in RATES
    for rank, alpha in ((8, 32), (16, 64))
    for targets in ("qkvo", "all")
]
# Report 004: q_lin and v_lin, "r=8, alpha=16, dropout=0.1", lr=2e-5 and lr=2e-4; head only; full.
FIFTH = {"rank": 8, "alpha": 16, "dropout": 0.1, "targets": "qv"}
Runs = list[tuple[str, str, dict[str, Any]]]  # method, epochs and padding, what the text says
SVM = ("svm", "", {"pooling": "cls"})
WRITTEN: dict[str, Runs] = {
    "000-rotten-tomatoes": [
        SVM,
        ("full", "10 dynamic", {"lr": 2e-5, "batch_size": 24}),
        ("lora", "10 dynamic", ALL_SIX),
    ],
    "000-sst2": [SVM, ("lora", "5 dynamic", ALL_SIX)],
    "001-rotten-tomatoes": [
        SVM,
        *(("full", "5 dynamic", {"lr": lr, "batch_size": 16}) for lr in RATES),
        *(
            ("lora", "5 dynamic", {"lr": lr, "batch_size": 16, "rank": rank})
            for lr in RATES
            for rank in (8, 16)
        ),
    ],
    "001-sst2": [
        SVM,
        ("full", "3 dynamic", {"batch_size": 16}),
        *(("lora", "3 dynamic", {"batch_size": 16, "rank": rank}) for rank in (8, 16, 32)),
    ],
    "002": [
        SVM,
        ("full", "3 dynamic", THIRD),
        ("freeze", "3 dynamic", THIRD),
        ("lora", "3 dynamic", {**THIRD, "rank": 8, "alpha": 16, "dropout": 0.1, "targets": "qkvo"}),
        ("adapters", "3 dynamic", {**THIRD, "dropout": 0.1}),
    ],
    "003": [
        SVM,
        *(
            ("full", f"5 {padding}", {"lr": lr, "batch_size": 16})
            for padding in ("dynamic", "fixed")
            for lr in RATES
        ),
        *(("lora", "5 dynamic", runs) for runs in FOURTH),
        ("lora", "5 fixed", FOURTH[0]),
    ],
    "004": [
        SVM,
        ("full", "3 dynamic", {}),
        ("freeze", "3 dynamic", {}),
        *(("lora", "3 dynamic", {**FIFTH, "lr": lr}) for lr in RATES),
    ],
}


def dry_run(capsys: pytest.CaptureFixture[str], preset: str) -> Runs:
    """What ``--dry-run`` says that it would do."""
    asked = ["--preset", preset, "--dataset", "demo", "--model", "tiny", "--gpus-per-trial", "0"]
    asked += ["--max-length", "32"]  # the forecast trains some steps of it
    assert main([*asked, "--dry-run"]) == 0
    found: Runs = []
    *blocks, together = capsys.readouterr().out.strip().split("\n\n")
    assert together.startswith(f"all {len(blocks)} studies")
    for block in blocks:
        lines = {
            name: re.findall(rf"^  {name} +(.*)$", block, re.M)
            for name in ("runs", "pinned", "plan")
        }
        method = block.split("-")[2]
        pinned = setting(lines["pinned"][0])
        for run in lines["runs"] or [""]:
            plan = next(iter(lines["plan"]), "").replace(" epochs,", "").removesuffix(" padding")
            found.append((method, plan, {**pinned, **setting(run)}))
    return found


def setting(text: str) -> dict[str, Any]:
    pairs = [pair.split("=") for pair in text.split(", ") if "=" in pair]
    return {n: float(v) if re.fullmatch(r"[\d.e+-]+", v) else v for n, v in pairs}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_runs_what_its_report_says(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dry_run(capsys, preset)
    written = WRITTEN[preset]
    assert [(m, plan) for m, plan, _ in found] == [(m, plan) for m, plan, _ in written]
    for (_, _, values), (method, _, said) in zip(found, written, strict=True):
        if method == "lora":
            values["alpha"] = values["rank"] * values["alpha_over_rank"]
        assert {name: values[name] for name in said} == said


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_report_does_not_say_is_named(preset: str) -> None:
    written = WRITTEN[preset]
    for experiments in PRESETS[preset].experiments:
        said = {
            name
            for method, _, values in written
            if method == experiments.method
            for name in ("alpha_over_rank" if n == "alpha" else n for n in values)
        }
        given = {name for made in experiments.configurations for name in made}
        silent = given - said - {"head_lr_over_lr"}
        assert silent <= set(experiments.assumed), experiments.method


def test_the_list_names_every_preset_and_what_is_assumed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--preset", "list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in PRESETS)
    assert "assumed: bottleneck, placement" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "005"], "unknown preset '005'"),
        (["--preset", "004", "--trials", "3"], "--trials cannot be chosen: --preset 004"),
        (["--preset", "004", "--method", "lora"], "--method cannot be chosen"),
        (["--dataset", "demo"], "--method and --dataset are needed, or --preset"),
    ],
)
def test_a_preset_that_cannot_be_run_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_trials_of_a_presets_studies_get_equal_shares_of_the_cores(tmp_path: Path) -> None:
    words = ["--preset", "002", "--dataset", "demo", "--model", "tiny", "--gpus-per-trial", "0"]
    args = build_parser().parse_args([*words, "--results", str(tmp_path)])
    studies, resources, _ = plan(args)
    assert [study.num_trials for study in studies] == [1, 1, 1, 1, 1]
    four_cores = Machine(cores=4, cards=0, memory=64e9)
    slots = {
        plan_slots(resources, four_cores, study.device, study.side_by_side) for study in studies
    }
    assert slots == {Slots(concurrency=4, cpus=1, gpus=0.0)}
