"""The studies of a command: every method on every dataset with every model, or a preset's."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tune_sentiment.config import StudyConfig
from tune_sentiment.errors import UsageError
from tune_sentiment.methods import BASELINE
from tune_sentiment.metrics import metric_named
from tune_sentiment.source import Source
from tune_sentiment.sources import collected
from tune_sentiment.study import Study, resolve

if TYPE_CHECKING:
    from tune_sentiment.preset import Preset
    from tune_sentiment.space import SearchSpace


@dataclass(frozen=True)
class Pair:
    """A dataset with a model, as the user wrote them, and what was found.

    Args:
        dataset: As it was written.
        model: As it was written.
        source: What they lead to.
    """

    dataset: str
    model: str
    source: Source


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is searched on each pair.

    Args:
        pairs: Datasets with models.
        asked: The part of a ``StudyConfig`` that all studies share.
        methods: What is searched.
        spaces: Every method's space.
        fixed: Each method's pinned values.
        with_baseline: Says which comparisons have a complete baseline in their ledgers.
    """

    pairs: Sequence[Pair]
    asked: Mapping[str, Any]
    methods: Sequence[str]
    spaces: "Mapping[str, SearchSpace]"
    fixed: Mapping[str, Mapping[str, Any]]
    with_baseline: Callable[[], Collection[str]]

    @cached_property
    def _done(self) -> Collection[str]:
        return self.with_baseline()

    def studies(self) -> list[Study]:
        """Every study, comparison by comparison; the baseline first where there is none yet.

        Beside others of a grid, cores are shared out among the trials of all.

        Raises:
            UsageError: If a value is refused; every pair where one is is named.
        """
        return self._of_each(self._studies_of)

    def preset_studies(self, preset: "Preset") -> list[Study]:
        """A preset's experiments at each pair.

        Raises:
            UsageError: If they cannot be run there.
        """
        num_trials = preset.num_trials * len(self.pairs)

        def studies_of(pair: Pair) -> list[Study]:
            configs = [self._config(pair, **listed.plan) for listed in preset.experiments]
            return [
                resolve(config, listed.space, pair.source, beside=num_trials - config.trials)
                for config, listed in zip(configs, preset.experiments, strict=True)
            ]

        return self._of_each(studies_of)

    def _studies_of(self, pair: Pair) -> list[Study]:
        count = len(self.pairs) * len(self.methods)
        beside = self.asked["trials"] * (count - 1) if len(self.pairs) > 1 else 0

        def study(method: str, **more: Any) -> Study:
            config = self._config(pair, method=method, **more)
            return resolve(config, self.spaces[method], pair.source, beside=beside)

        found = [study(method, fixed=self.fixed[method]) for method in self.methods]
        if BASELINE in self.methods or metric_named(self.asked["metric"]).needs_probabilities:
            return found
        baseline = study(BASELINE, warm_start=None)  # one for every table, however others begin
        return found if baseline.comparison in self._done else [baseline, *found]

    def _config(self, pair: Pair, **more: Any) -> StudyConfig:
        return StudyConfig(**{**self.asked, "dataset": pair.dataset, "model": pair.model, **more})

    def _of_each(self, studies_of: Callable[[Pair], list[Study]]) -> list[Study]:
        def named(pair: Pair) -> list[Study]:
            try:
                return studies_of(pair)
            except UsageError as error:
                if len(self.pairs) == 1:
                    raise
                raise UsageError(f"{pair.dataset} with {pair.model}: {error}") from error

        return [study for found in collected(named, self.pairs) for study in found]
