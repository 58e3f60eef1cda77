"""How many trainings of a study share a GPU: looked up or measured before the first one starts."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import ray
from optuna.distributions import CategoricalDistribution
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_sentiment import footprint as footprints
from tune_sentiment.config import Resources
from tune_sentiment.errors import UsageError
from tune_sentiment.footprint import Card, Footprint, cards_here, measure, trainings_on
from tune_sentiment.machines import training_nodes
from tune_sentiment.session import remotely
from tune_sentiment.slots import Slots
from tune_sentiment.study import Study
from tune_sentiment.trial_setup import TrialSetup
from tune_sentiment.workload import Inputs, trial_setup

ALONE = Slots(concurrency=1, cpus=1, gpus=1.0)
Probe = Callable[[Study, TrialSetup, Mapping[str, Any]], Footprint | None]


def cards_of_ray() -> list[Card]:
    """The GPUs of the running Ray, each as a worker on its node sees it."""
    look = ray.remote(num_cpus=0, max_calls=1)(cards_here)  # one without GPUs sees them all
    nodes = [node["NodeID"] for node in training_nodes() if node["Resources"].get("GPU")]
    placed = [NodeAffinitySchedulingStrategy(node_id=node, soft=False) for node in nodes]
    found = ray.get([look.options(scheduling_strategy=place).remote() for place in placed])
    return [card for there in found for card in there]


class Sharing:
    """How many trainings of each study have room on a GPU, and why.

    Args:
        resources: What was asked for; anything but ``auto`` is taken as it is.
        tokens: Gives a study's tokens of train and validation.
        look: Finds the GPUs, once.
        probe: Measures a configuration; ``None`` where nothing can be measured now.
    """

    def __init__(
        self,
        resources: Resources,
        tokens: Callable[[Study], tuple[Any, Any]],
        look: Callable[[], Sequence[Card]],
        probe: Probe,
    ) -> None:
        self.resources, self.tokens, self.look, self.probe = resources, tokens, look, probe
        self.found: dict[str, tuple[int, str]] = {}

    @classmethod
    def on_ray(cls, resources: Resources, inputs_of: Callable[[Study], Inputs]) -> "Sharing":
        """Of trainings on the running Ray, which measures what is not known."""

        def references(study: Study) -> list[Any]:
            inputs = inputs_of(study)
            return [inputs.train.tokens, inputs.validation.tokens]

        def tokens(study: Study) -> tuple[Any, Any]:
            train, validation = ray.get(references(study))
            return train, validation

        def probe(study: Study, setup: TrialSetup, params: Mapping[str, Any]) -> Footprint:
            asked = setup, params, study.config.seed, *references(study)
            found: Footprint = ray.get(remotely(measure, ALONE, *asked))
            return found

        return cls(resources, tokens, cards_of_ray, probe)

    @cached_property
    def cards(self) -> Sequence[Card]:
        """All GPUs that trainings may get."""
        return self.look()

    def of(self, study: Study) -> int:
        """Trainings of a study that have room on a GPU; 1 where that is not known."""
        if study.device == "cpu" or self.resources.gpus_per_trial is not None:
            return 1
        if study.id not in self.found:
            try:
                self.found[study.id] = self._fitting(study)
            except RayError as error:  # the trials will say what is wrong, each in its record
                said = str(error).strip().splitlines()[-1]
                self.found[study.id] = 1, f"its memory was not measured: {said}"
        return self.found[study.id][0]

    def line(self, study: Study, slots: Slots) -> str | None:
        """What was found, and what becomes of it; ``None`` where nothing was to be found.

        Args:
            study: One that ``of`` was asked about.
            slots: What its trainings get.
        """
        if study.id not in self.found:
            return None
        room, why = self.found[study.id]
        several = f"{slots.per_gpu} trial{'s' if slots.per_gpu > 1 else ''} a GPU"
        spare = f" (room for {room})" if room > slots.per_gpu else ""
        return f"{why}: {several}{spare}"

    def _fitting(self, study: Study) -> tuple[int, str]:
        if not self.cards:
            return 1, "no worker sees a GPU"
        params, setup = heaviest(study), trial_setup(study, ALONE)
        smallest = min(self.cards, key=lambda card: card.room)
        path = footprints.cache_file(setup, params, *self.tokens(study), smallest)
        found = footprints.kept(path)
        if found is None:
            found = self.probe(study, setup, params)
            if found is None:
                return 1, "its memory is measured when the search starts"
            if not found.is_too_large:  # others may have left too little room this time
                footprints.keep(path, found)
        there = f"{smallest.total / 1e9:.0f} GB at batch {params['batch_size']}"
        if found.is_too_large:
            return 1, f"more than {there}"
        taken = (found.reserved + found.context) / 1e9
        return trainings_on(self.cards, found), f"{taken:.1f} GB of {there}"


def heaviest(study: Study) -> dict[str, Any]:
    """The configuration of a study's space that needs most memory.

    Numbers stand at their upper end, words at the one with which most parameters train. What
    takes no memory is as in the space's example.
    """
    space = study.space
    made = {**space.example(), **(space.fixed or {})}
    domains: dict[str, Any] = {**space.distributions()}
    choices: dict[str, Sequence[Any]] = {
        name: domain.choices if isinstance(domain, CategoricalDistribution) else [domain.high]
        for name, domain in domains.items()
        if name not in footprints.WEIGHTLESS
    }
    for name, values in choices.items():
        if numbers := [value for value in values if isinstance(value, int | float)]:
            made[name] = max(numbers)
    for name, values in choices.items():
        if words := [value for value in values if isinstance(value, str)]:
            made[name] = max(words, key=lambda word: _trains(study, {**made, name: word}))
    return made


def _trains(study: Study, params: Mapping[str, Any]) -> int:
    """Parameters that train; 0 where the method refuses a value."""
    prepare, source = study.method.prepare, study.source
    assert prepare is not None
    try:
        own = study.own_hyperparameters(params)
        classes = source.dataset.classes
        return source.backbone.num_trainable_params(classes, lambda model: prepare(model, own))
    except UsageError:
        return 0
