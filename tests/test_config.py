import math
from dataclasses import dataclass
from typing import Any

import pytest

from tune_sentiment.config import (
    Resources,
    StudyConfig,
    TrialConfig,
    defaults,
    owners,
    split,
)
from tune_sentiment.errors import UsageError
from tune_sentiment.methods import METHODS
from tune_sentiment.proposal import Proposal

LORA = METHODS["lora"].hyperparameters
SHARED = {"lr": 1e-4, "batch_size": 16, "warmup_ratio": 0.1, "weight_decay": 0.01}
PLAN = {"max_epochs": 3, "evaluations_per_epoch": 1, "padding": "fixed", "precision": "fp32"}
PLAN |= {"seed": 5}
OWN = {"rank": 8, "alpha_over_rank": 2, "dropout": 0.1, "targets": "qv"}


def test_every_key_goes_to_its_one_owner() -> None:
    config, own = split({**SHARED, **OWN}, LORA, is_neural=True, **PLAN)
    assert isinstance(config, TrialConfig)
    assert (config.lr, config.max_epochs, config.seed) == (1e-4, 3, 5)
    assert own == LORA(**OWN)


def test_two_owners_of_one_name_are_a_bug() -> None:
    @dataclass(frozen=True)
    class Greedy:
        lr: float

    with pytest.raises(TypeError, match="lr belongs to"):
        owners(Greedy, is_neural=True)


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        ({**SHARED, **OWN, "rnak": 8}, "unknown hyperparameter 'rnak'. Did you mean 'rank'"),
        ({**SHARED, "rank": 8}, "no value for the hyperparameters alpha_over_rank, dropout"),
        ({**SHARED, **OWN, "lr": 0.0}, "lr > 0 must hold, got 0.0"),
        ({**SHARED, **OWN, "lr": math.inf}, "lr > 0 must hold, got inf"),
        ({**SHARED, **OWN, "batch_size": 0}, "batch_size >= 1 must hold, got 0"),
        ({**SHARED, **OWN, "warmup_ratio": 1.0}, "0 <= warmup_ratio < 1 must hold, got 1.0"),
        ({**SHARED, **OWN, "weight_decay": -1.0}, "weight_decay >= 0 must hold, got -1.0"),
        ({**SHARED, **OWN, "schedule": "cosin"}, "unknown schedule 'cosin'. Did you mean 'cosine'"),
        ({**SHARED, **OWN, "label_smoothing": 1.0}, "label_smoothing < 1 must hold"),
        ({**SHARED, **OWN, "max_grad_norm": math.nan}, "max_grad_norm > 0 must hold, got nan"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_value(flat: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split(flat, LORA, is_neural=True, **PLAN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trials", 0),
        ("trials", -5),
        ("max_epochs", 0),
        ("time_budget_minutes", 0.0),
        ("time_budget_minutes", math.nan),
        ("confirm_seeds", -1),
        ("train_samples", 1),
        ("max_length", 3),
        ("seed", -1),
        ("padding", "buckets"),
        ("precision", "fp64"),
    ],
)
def test_a_wrong_study_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name.partition("_")[0]):
        StudyConfig(**{"method": "lora", "dataset": "demo", name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("gpus_per_trial", -1.0), ("gpus_per_trial", 1.5), ("cpus_per_trial", 0), ("concurrency", 0)],
)
def test_wrong_resources_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        Resources(**{name: value})


def test_defaults_are_those_of_the_dataclasses() -> None:
    found = defaults(owners(LORA, is_neural=True))
    assert found == {
        "head_lr_over_lr": 1.0,
        "schedule": "linear",
        "label_smoothing": 0.0,
        "max_grad_norm": 1.0,
        "variant": "lora",
        "b_lr_over_a_lr": 1.0,
    }


def test_a_proposal_survives_json() -> None:
    made = Proposal(number=1, key="k", origin="start", params=OWN, seed=3, repeats=("a",))
    assert Proposal.from_dict(made.as_dict()) == made
