from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.answers import sides
from analysis.checks import shared_between_datasets, warnings
from analysis.load import load_studies
from tests.ledgers import description, trial, write
from tune_sentiment.splits import text_hash

MANY = [trial(i, 0.7 + i / 1000) for i in range(12)]


def warned(root: Path) -> str:
    return "\n".join(warnings(load_studies([root])))


def test_a_study_in_order_has_no_warning(tmp_path: Path) -> None:
    write(tmp_path, "lora", MANY, [0.8, 0.82])
    assert warned(tmp_path) == ""


def bad(name: str) -> dict[str, Any]:
    """What to write for a check to fire."""
    edge = trial(12, 0.9, params={"lr": 9.9e-4, "rank": 8})
    few_texts = {**description("lora")["splits"], "test": {"rows": 12, "class_counts": [6, 6]}}
    one_class = {**description("lora")["splits"], "test": {"rows": 400, "class_counts": [400, 0]}}
    return {
        "at the upper end": {"trials": [*MANY, edge], "rights": [0.8, 0.8]},
        "the winner's rank=16 is at the upper end": {
            "trials": [*MANY, trial(12, 0.9, params={"lr": 1e-4, "rank": 16})],
            "rights": [0.8, 0.8],
        },
        "one seed has a test score": {"trials": MANY, "rights": [0.8]},
        "3 trials are few": {"trials": MANY[:3], "rights": [0.8, 0.8]},
        "diverged, failed or ran out": {
            "trials": [*MANY, *(trial(20 + i, None, status="failed") for i in range(4))],
            "rights": [0.8, 0.8],
        },
        "1 of 2 confirmation runs": {"trials": MANY, "rights": [0.8, None]},
        "was not confirmed": {"trials": MANY},
        "no trial could be a winner": {"trials": [trial(0, None, status="failed")]},
        "no trial has ended": {"trials": []},
        "did not converge": {"trials": [*MANY, trial(12, 0.5, converged=False)], "rights": [0.8]},
        "1 of 13 trials ran out of GPU memory and were tried again": {
            "trials": [*MANY, trial(12, 0.5, micro_batch_size=16, accumulation=2)],
            "rights": [0.8, 0.8],
        },
        "opened 2 times": {"trials": MANY, "rights": [0.8], "openings": 2},
        "only 12 test texts: one text is 8.3 points": {
            "trials": MANY,
            "rights": [0.8],
            "splits": few_texts,
        },
        "test has texts of one class only": {
            "trials": MANY,
            "rights": [0.8],
            "splits": one_class,
        },
        "its search began with earlier winners, of there, here": {
            "trials": MANY,
            "rights": [0.8, 0.8],
            "prior_from": [{"study": "there"}, {"study": "here"}],
        },
        "2 texts of test stand in train, too": {
            "trials": MANY,
            "rights": [0.8],
            "texts": {"train": [1, 2, 3], "validation": [4], "test": [2, 3, 5]},
        },
    }[name]


@pytest.mark.parametrize(
    "warning",
    [
        "at the upper end",
        "the winner's rank=16 is at the upper end",
        "one seed has a test score",
        "3 trials are few",
        "diverged, failed or ran out",
        "1 of 2 confirmation runs",
        "was not confirmed",
        "no trial could be a winner",
        "no trial has ended",
        "did not converge",
        "1 of 13 trials ran out of GPU memory and were tried again",
        "opened 2 times",
        "only 12 test texts: one text is 8.3 points",
        "test has texts of one class only",
        "its search began with earlier winners, of there, here",
        "2 texts of test stand in train, too",
    ],
)
def test_a_check_fires_for_what_it_is_there_for(warning: str, tmp_path: Path) -> None:
    write(tmp_path, "lora", **bad(warning))
    assert warning in warned(tmp_path)


@pytest.mark.parametrize("said", [7, "x", [], [7], {"study": "there"}])
def test_what_is_no_list_of_earlier_studies_is_no_warning(said: object, tmp_path: Path) -> None:
    write(tmp_path, "lora", MANY, [0.8, 0.8], prior_from=said)
    assert warned(tmp_path) == ""


def test_two_searches_of_a_method_are_told_apart_by_what_they_began_with(tmp_path: Path) -> None:
    write(tmp_path, "lora", MANY, [0.8, 0.8])
    space = {**description("lora")["space"], "prior": [{"lr": 1e-4, "rank": 8}]}
    write(tmp_path, "lora", MANY, [0.8, 0.8], name="warm", space=space)
    assert sorted(side.name for side in sides(load_studies([tmp_path]))) == [
        "lora (warm_start=no)",
        "lora (warm_start=yes)",
    ]


def test_unequal_budgets_are_named(tmp_path: Path) -> None:
    write(tmp_path, "lora", MANY, [0.8, 0.8])
    write(tmp_path, "full", MANY[:11], [0.8, 0.8])
    assert "unequal budgets, trials: full 11, lora 12" in warned(tmp_path)
    plan = {"max_epochs": 5, "evaluations_per_epoch": 1}
    write(tmp_path, "freeze", MANY, [0.8, 0.8], plan=plan)
    assert "planned evaluations: freeze 5, full 3, lora 3" in warned(tmp_path)
    write(tmp_path, "lora", MANY[:3], [0.8, 0.8], name="lora-2", seed=7)
    assert "trials: freeze 12, full 11, lora 12, lora 3" in warned(tmp_path)


def test_a_space_that_is_used_up_is_not_too_few_trials(tmp_path: Path) -> None:
    pinned = {"fixed": {"lr": 1e-4}, "distributions": {}}
    write(tmp_path, "lora", MANY[:1], [0.8, 0.8], space=pinned)
    assert "few" not in warned(tmp_path)


def test_test_texts_that_another_dataset_has_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "lora", MANY, texts={"train": [1], "validation": [2], "test": [3, 4, 5]})
    other = {"train": [4, 5, 9], "validation": [8], "test": [7]}
    write(tmp_path, "full", MANY, texts=other, dataset="sst2", comparison="d")
    found = shared_between_datasets(load_studies([tmp_path]))
    assert found == ["2 test texts of demo stand in sst2, too"]


@pytest.mark.data
def test_sst2_holds_761_test_sentences_of_rotten_tomatoes(real_data: Path, tmp_path: Path) -> None:
    columns = {"rotten_tomatoes": "text", "sst2": "sentence"}
    for name, column in columns.items():
        texts = {}
        for split in ("train", "validation", "test"):
            table = pd.read_parquet(real_data / name / f"{split}.parquet")
            texts[split] = [text_hash(text) for text in table.get(column, table.get("text"))]
        write(tmp_path, "lora", MANY, texts=texts, dataset=name, comparison=name, name=name)
    found = shared_between_datasets(load_studies([tmp_path]))
    assert "761 test texts of rotten_tomatoes stand in sst2, too" in found
