"""A study, resolved: what was asked for, what it was found to mean, and its identity.

The identity is a hash of everything that can change a result and of nothing else, so the same
command finds its study again on any machine and with any number of workers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tune_sentiment import config as configuration
from tune_sentiment import provenance
from tune_sentiment.config import StudyConfig
from tune_sentiment.data import data_fingerprint
from tune_sentiment.errors import UsageError
from tune_sentiment.methods import METHODS, Method
from tune_sentiment.metrics import Metric, metric_named
from tune_sentiment.proposal import digest
from tune_sentiment.records import SCHEMA
from tune_sentiment.source import Source
from tune_sentiment.space import SearchSpace
from tune_sentiment.splits import check_subset_size

ASKED = ("dataset", "model", "padding", "precision", "warm_start")  # as the user wrote them
MANY_TRAINING_TEXTS = 20_000  # from here on an epoch is long enough for four evaluations
HASHED_LENGTH = 10
LONGEST_WORD = 60  # of a folder's name; file systems end at 255 bytes in all


@dataclass(frozen=True, kw_only=True)
class Study:
    """One method on one dataset with one backbone, one space and one budget.

    Args:
        config: What was asked for.
        space: The method's space with the pinned values taken out.
        source: Data and backbone.
        beside: Trials of the other studies of a preset or a grid, which run side by side.
        prior_from: Whose winners the points of the space's prior are, one for each: ``study``,
            ``dataset`` and ``model``.
    """

    config: StudyConfig
    space: SearchSpace
    source: Source
    beside: int = 0
    prior_from: Sequence[Mapping[str, str]] = ()

    def __post_init__(self) -> None:
        metric = metric_named(self.config.metric)
        if metric.needs_probabilities and not self.method.is_neural:
            raise UsageError(
                f"{self.config.method} has no probabilities, so {self.config.metric} cannot be "
                "searched with it"
            )
        classes = len(self.source.dataset.classes)
        check_subset_size(self.config.train_samples, self.source.splits["train"].class_counts)
        if metric.needs_two_classes and classes != 2:
            raise UsageError(
                f"{self.config.metric} is defined for two classes; {self.source.dataset.name} "
                f"has {classes}"
            )

    @property
    def method(self) -> Method:
        """The row of METHODS."""
        return METHODS[self.config.method]

    @property
    def metric(self) -> Metric:
        """The searched metric."""
        return metric_named(self.config.metric)

    @property
    def num_train(self) -> int:
        """Training texts that each trial sees."""
        return self.config.train_samples or self.source.splits["train"].rows

    @property
    def device(self) -> str:
        """Where the trainings run: what reads features is too little work for a GPU."""
        return "cpu" if self.method.reads_features else self.source.device

    @property
    def plan(self) -> dict[str, Any]:
        """The study's part of every trial's configuration; empty for a closed-form method."""
        if not self.method.is_neural:
            return {}
        precision = provenance.resolve_precision(self.config.precision, self.device)
        return {
            "max_epochs": self.config.max_epochs,
            "evaluations_per_epoch": 1 if self.num_train < MANY_TRAINING_TEXTS else 4,
            "padding": self.config.padding,
            "precision": precision,
        }

    @property
    def num_trials(self) -> int:
        """Trials of the whole study: as many as were asked for, or as its space has."""
        size = self.space.size()
        if size is None:
            return self.config.trials
        return size if self.space.is_listed else min(size, self.config.trials)

    @property
    def side_by_side(self) -> int:
        """Trials among which cores are shared out: its own, and those of its preset's others."""
        return self.num_trials + self.beside

    @property
    def planned_evaluations(self) -> int:
        """Evaluations of a trial that nothing ends early."""
        plan = self.plan
        return int(plan["max_epochs"] * plan["evaluations_per_epoch"]) if plan else 1

    def scheduler(self) -> dict[str, int] | None:
        """ASHA's settings; ``None`` where nothing is stopped early."""
        from tune_sentiment.scheduler import scheduler_settings

        plan = self.plan
        if not self.method.stops_early or self.space.is_listed:
            return None
        domains, pinned = self.space.distributions(), self.space.fixed or {}
        longest = max(
            pinned.get(name, getattr(domains.get(name), "high", 0.0))
            for name in self.method.settling
        )
        texts = self.source.splits["validation"].rows if self.metric.mode == "max" else 0
        return scheduler_settings(
            plan["max_epochs"], plan["evaluations_per_epoch"], longest, scored_texts=texts
        )

    @property
    def defaults(self) -> dict[str, Any]:
        """Hyperparameters that are neither searched nor pinned."""
        owned = configuration.owners(self.method.hyperparameters, is_neural=self.method.is_neural)
        held = configuration.defaults(owned)
        named = {*self.space.params, *(self.space.fixed or {})}
        return {name: value for name, value in held.items() if name not in named}

    def own_hyperparameters(self, point: Mapping[str, Any]) -> Any:
        """The method's own hyperparameters at a point of the space.

        Raises:
            UsageError: If a value is refused.
        """
        is_neural = self.method.is_neural
        params = {**point, **(self.space.fixed or {})}
        plan = {**self.plan, "seed": self.config.seed} if is_neural else {}
        hyperparameters = self.method.hyperparameters
        return configuration.split(params, hyperparameters, is_neural=is_neural, **plan)[1]

    @cached_property
    def num_trainable_params(self) -> int:
        """What trains in an example of the space; 0 for a closed-form method.

        Raises:
            UsageError: If the method cannot be used with this backbone.
        """
        prepare = self.method.prepare
        if prepare is None:
            return 0
        own = self.own_hyperparameters(self.space.example())
        classes = self.source.dataset.classes
        return self.source.backbone.num_trainable_params(classes, lambda m: prepare(m, own))

    def comparison_of(self) -> dict[str, Any]:
        """What studies must share to stand in one table."""
        return {
            "data": data_fingerprint(self.source.splits),
            "classes": list(self.source.dataset.classes),
            "split": {"rule": self.source.dataset.split.name, "seed": self.config.seed},
            "train_samples": self.config.train_samples,
            "model": self.source.backbone.fingerprint,
            "max_length": self.config.max_length,
            "metric": self.config.metric,
        }

    @property
    def comparison(self) -> str:
        """Hash of ``comparison_of``."""
        return digest(self.comparison_of())

    def identity(self) -> dict[str, Any]:
        """Everything that can change a result."""
        from tune_sentiment.searcher import SAMPLER

        return {
            "schema": SCHEMA,
            "method": self.config.method,
            "space": self.space.describe(),
            "defaults": self.defaults,
            "seed": self.config.seed,
            "sampler": SAMPLER,
            "scheduler": self.scheduler(),
            "plan": self.plan,
            "comparison_of": self.comparison_of(),
        }

    @property
    def id(self) -> str:
        """The study's name and the name of its folder."""
        words = (self.source.dataset.name, self.source.backbone.name, self.config.method)
        safe = [re.sub(r"[^A-Za-z0-9._]+", "_", Path(word).name)[:LONGEST_WORD] for word in words]
        return "-".join([*safe, digest(self.identity(), HASHED_LENGTH)])

    def describe(self) -> dict[str, Any]:
        """The content of ``study.json``."""
        return {
            "id": self.id,
            "name": self.config.name,
            "asked": {name: getattr(self.config, name) for name in ASKED},
            "dataset": self.source.dataset.name,
            "model": self.source.backbone.name,
            "metric": self.config.metric,
            "mode": self.metric.mode,
            "classes": list(self.source.dataset.classes),
            "labels_as_written": list(self.source.dataset.written),
            "columns": asdict(self.source.dataset.columns),
            "comparison": self.comparison,
            **self.identity(),
            "trials_asked": self.config.trials,
            "num_trials": self.num_trials,
            **({"prior_from": list(self.prior_from)} if self.prior_from else {}),
            "splits": {
                name: {"rows": summary.rows, "class_counts": list(summary.class_counts)}
                for name, summary in self.source.splits.items()
            },
            "written_at": provenance.now(),
            "commit": provenance.commit(),
            "versions": provenance.versions(),
        }


def resolve(config: StudyConfig, space: SearchSpace, source: Source, *, beside: int = 0) -> Study:
    """Check a study before anything starts: every start point and pinned value, and the backbone.

    Raises:
        UsageError: If a value is refused, or the method cannot be used with this backbone.
    """
    study = Study(config=config, space=space.pin(config.fixed), source=source, beside=beside)
    for point in study.space.start or [study.space.example()]:
        study.own_hyperparameters(point)
    _ = study.num_trainable_params
    if config.padding == "packed" and not source.backbone.can_pack:
        raise UsageError(
            f"model '{source.backbone.name}' cannot be packed; --padding bucketed takes any model"
        )
    return study
