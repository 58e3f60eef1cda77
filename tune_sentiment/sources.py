"""Several datasets and models in one command: every pair of them is a comparison of its own."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.columns import Columns
from tune_sentiment.data import describe_splits
from tune_sentiment.datasets_table import DATASETS, DatasetSpec, dataset_named
from tune_sentiment.errors import SeveralErrors, TuneSentimentError, UsageError
from tune_sentiment.paths import exists, user_path
from tune_sentiment.source import Source, device_for
from tune_sentiment.splits import SplitSummary

if TYPE_CHECKING:
    from tune_sentiment.study import Study

Asked = TypeVar("Asked")
Made = TypeVar("Made")


def listed(flag: str, text: str) -> list[str]:
    """The names in a comma list, each once, in their order; a path may hold commas itself.

    Raises:
        UsageError: If a name is given twice.
    """
    if "," not in text or exists(user_path(text)):
        return [text]
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{flag} names '{name}' twice")
    return names or [text]


def find_datasets(names: Sequence[str], columns: Columns) -> list[DatasetSpec]:
    """The datasets of a command, every one that is wrong named before anything starts.

    Columns are for files and hub ids: beside those, a named dataset keeps its own.

    Raises:
        UsageError: If one is unknown, cannot be read, or two would share a name.
        StartError: If the hub is needed and cannot be reached.
    """
    are_known = all(name in DATASETS for name in names)

    def find(name: str) -> DatasetSpec:
        return dataset_named(name, columns if are_known or name not in DATASETS else None)

    found = collected(find, names)
    for index, spec in enumerate(found):
        for other in found[:index]:
            if spec.name == other.name:
                raise UsageError(f"two datasets are called '{spec.name}': rename one")
    return found


def find_sources(
    specs: Sequence[DatasetSpec],
    models: Sequence[str],
    *,
    mirror: Path | None,
    seed: int,
    wants_gpu: bool,
    has_gpu: bool | None = None,
) -> list[Source]:
    """Each dataset with each model: every split is read once, and every model is found once.

    Args:
        specs: The datasets' rows.
        models: Backbones as they were asked for.
        mirror: Local mirror of named datasets.
        seed: For splits that are cut here.
        wants_gpu: Whether trainings use one where there is one.
        has_gpu: Whether there is one; if not given, whether this machine has.

    Raises:
        TuneSentimentError: If a model is unknown or a split is not what it should be; all that are
            wrong are named.
    """
    device = device_for(wants_gpu, has_gpu)
    splits: dict[str, dict[str, SplitSummary]] = {}
    backbones: dict[str, Backbone] = {}

    def read(spec: DatasetSpec) -> None:
        splits[spec.name] = describe_splits(spec, mirror=mirror, seed=seed)

    def load(model: str) -> None:
        backbones[model] = load_backbone(model)

    steps = [*(partial(load, model) for model in models), *(partial(read, spec) for spec in specs)]
    collected(lambda step: step(), steps)
    return [
        Source(
            dataset=spec,
            mirror=mirror,
            splits=splits[spec.name],
            backbone=backbones[model],
            device=device,
        )
        for spec in specs
        for model in models
    ]


def collected(make: Callable[[Asked], Made], asked: Sequence[Asked]) -> list[Made]:
    """What is made of each; all that cannot be made are named in one error.

    Raises:
        TuneSentimentError: If any cannot.
    """
    made, errors = [], []
    for each in asked:
        try:
            made.append(make(each))
        except TuneSentimentError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralErrors(errors)
    return made


def labels(studies: "Sequence[Study]") -> dict[str, str]:
    """What each study of a command is called beside the others, by its id: what differs.

    The method, after its dataset where there are several, and its model where there are several;
    with a number where that names two.
    """
    named = [(study.source.dataset.name, study.source.backbone.name) for study in studies]
    varies = [len(set(column)) > 1 for column in zip(*named, strict=True)]
    words = [
        [*(Path(word).name for word, v in zip(pair, varies, strict=True) if v), study.config.method]
        for study, pair in zip(studies, named, strict=True)
    ]
    names = [" ".join(parts) for parts in words]
    counted, seen = Counter(names), Counter[str]()
    made = {}
    for study, name in zip(studies, names, strict=True):
        seen[name] += 1
        made[study.id] = f"{name} {seen[name]}" if counted[name] > 1 else name
    return made
