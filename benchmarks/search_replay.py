"""Searchers replayed on the recorded table: which trainings each asks for, one after another.

A searcher proposes from the space that a person would write: the learning rate from a continuous
range, of which the table has the nearest value. It pays one evaluation for each epoch that it lets
a training run, also where it has seen that cell before, and is told what the table says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.search_table import EPOCHS, GRID, RATES
from search_spaces import SPACES
from tune_sentiment.domains import nearest
from tune_sentiment.scheduler import Asha, scheduler_settings
from tune_sentiment.searcher import Search
from tune_sentiment.space import SearchSpace

METRIC, VALIDATION_TEXTS = "val_accuracy", 1066
Player = Callable[["Table", int], Iterator[float]]


@dataclass(frozen=True)
class Table:
    """The trainings of one seed.

    Args:
        scores: Validation accuracy after each epoch, by the values of ``GRID``.
    """

    scores: Mapping[tuple[Any, ...], Sequence[float]]

    @classmethod
    def of(cls, trainings: Sequence[Mapping[str, Any]], seed: int) -> "Table":
        """The part of the record that was trained with a seed.

        Raises:
            ValueError: If a cell of the grid is missing.
        """
        if not cls.is_whole(trainings, seed):
            raise ValueError(f"the table lacks trainings of seed {seed}")
        return cls(
            {
                tuple(training[name] for name in GRID): training[METRIC]
                for training in trainings
                if training["seed"] == seed
            }
        )

    @staticmethod
    def is_whole(trainings: Sequence[Mapping[str, Any]], seed: int) -> bool:
        """Whether every cell of the grid was trained with a seed."""
        made = {tuple(t[name] for name in GRID) for t in trainings if t["seed"] == seed}
        return made == set(product(*GRID.values()))

    def at(self, params: Mapping[str, Any]) -> Sequence[float]:
        """The scores of the cell that is nearest to a configuration."""
        rate = min(RATES, key=lambda value: abs(np.log(value / params["lr"])))
        return self.scores[(rate, *(params[name] for name in GRID if name != "lr"))]

    @property
    def best(self) -> float:
        """The best score in the table."""
        return max(max(scores) for scores in self.scores.values())


def distributions() -> dict[str, optuna.distributions.BaseDistribution]:
    """The space, as Optuna has it."""
    choices = {n: optuna.distributions.CategoricalDistribution(v) for n, v in GRID.items()}
    rate = optuna.distributions.FloatDistribution(min(RATES), max(RATES), log=True)
    return {**choices, "lr": rate}


def domains() -> dict[str, Any]:
    """The space, as Ray Tune has it."""
    choices = {name: tune.choice(list(values)) for name, values in GRID.items()}
    return {**choices, "lr": tune.loguniform(min(RATES), max(RATES))}


def in_space(params: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as ``--warm-start`` moves it into the replayed space.

    A choice that is not there is the first one that is.
    """
    found = {name: nearest(domain, params.get(name)) for name, domain in distributions().items()}
    return {name: GRID[name][0] if value is None else value for name, value in found.items()}


START = [in_space(point) for point in SPACES["lora"].start]


def random_search(table: Table, seed: int) -> Iterator[float]:
    """Configurations drawn at random, each trained to its end."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    while True:
        yield from table.at(study.ask(distributions()).params)


def tpe(table: Table, seed: int) -> Iterator[float]:
    """Optuna's TPE with its defaults, each trial trained to its end."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    while True:
        trial = study.ask(distributions())
        scores = table.at(trial.params)
        yield from scores
        study.tell(trial, max(scores))


def tpe_with_halving(table: Table, seed: int) -> Iterator[float]:
    """Optuna's TPE with Optuna's pruner of successive halving, both with their defaults."""
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(),
    )
    while True:
        trial = study.ask(distributions())
        best = 0.0
        for epoch, score in enumerate(table.at(trial.params), start=1):
            yield score
            best = max(best, score)
            trial.report(best, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, best)


def ray_tunes_pairing(table: Table, seed: int) -> Iterator[float]:
    """Ray Tune's OptunaSearch with its ASHA, told as Ray Tune's own loop tells them."""
    search = OptunaSearch(metric=METRIC, mode="max", seed=seed)
    search.set_search_properties(METRIC, "max", domains())
    asha = ASHAScheduler(metric=METRIC, mode="max", max_t=EPOCHS)
    number = 0
    while True:
        name, number = str(number), number + 1
        params = search.suggest(name)
        trial = SimpleNamespace(trial_id=name)
        asha.on_trial_add(None, trial)
        best = 0.0
        for epoch, score in enumerate(table.at(params), start=1):
            yield score
            best = max(best, score)
            result = {METRIC: best, "training_iteration": epoch}
            decision = asha.on_trial_result(None, trial, result)
            if decision == TrialScheduler.STOP or epoch == EPOCHS:
                search.on_trial_complete(name, result)
                asha.on_trial_complete(None, trial, result)
                break
            search.on_trial_result(name, result)


def ours(
    table: Table,
    seed: int,
    start: Sequence[dict[str, Any]] = START,
    prior: Sequence[dict[str, Any]] = (),
    **settings: int,
) -> Iterator[float]:
    """This project's search and its ASHA; as LoRA has them, if nothing is changed.

    Args:
        table: What trainings give.
        seed: Of the search.
        start: Start points.
        prior: Points that are tried before them.
        **settings: Of ASHA.
    """
    space = SearchSpace(method="lora", params=domains(), start=start, prior=prior)
    search = Search(space, mode="max", seed=seed)
    usual = scheduler_settings(EPOCHS, 1, 0.0, scored_texts=VALIDATION_TEXTS)
    asha = Asha(mode="max", settings={**usual, **settings})
    number = 0
    while True:
        name, number = str(number), number + 1
        config = search.suggest(name)
        assert isinstance(config, dict)
        trial = SimpleNamespace(config=config)
        asha.on_trial_add(None, trial)
        best = 0.0
        for epoch, score in enumerate(table.at(config["params"]), start=1):
            yield score
            best = max(best, score)
            status = "finished" if epoch == EPOCHS else "running"
            result = {"status": status, "evaluation": epoch, "objective": best}
            decision = asha.on_trial_result(None, trial, result)
            if decision == TrialScheduler.STOP or epoch == EPOCHS:
                search.on_trial_complete(name, result)
                asha.on_trial_complete(None, trial, result)
                break
            search.on_trial_result(name, result)


def one_epoch_rule(table: Table, seed: int) -> Iterator[float]:
    """Each configuration trained for one epoch; the best of them can be finished at any time.

    What finishing costs is counted, but only once: as if it were known when to stop looking.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    first = table.at(study.ask(distributions()).params)
    yield from first
    best = first
    while True:
        scores = table.at(study.ask(distributions()).params)
        best = max(best, scores, key=lambda made: made[0])
        yield max(best)


PLAYERS: dict[str, Player] = {
    "random": random_search,
    "Optuna's TPE": tpe,
    "Optuna's TPE + successive halving": tpe_with_halving,
    "Ray Tune's OptunaSearch + ASHA": ray_tunes_pairing,
    "one epoch each, the best finished": one_epoch_rule,
    "ours": ours,
}


def best_so_far(player: Player, table: Table, seed: int, evaluations: int) -> np.ndarray[Any, Any]:
    """The best score seen after each of so many evaluations, float64 of that length."""
    made = player(table, seed)
    return np.maximum.accumulate([next(made) for _ in range(evaluations)])
