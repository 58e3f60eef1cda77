"""Data and backbone of a comparison, looked up once for all its studies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tune_sentiment import provenance
from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.data import describe_splits
from tune_sentiment.datasets_table import DatasetSpec
from tune_sentiment.splits import SplitSummary


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data and backbone of a comparison, found once for all its studies.

    Args:
        dataset: The dataset's row.
        mirror: Local mirror of named datasets, looked at before the hub.
        splits: Counts and hashes of each split.
        backbone: The pretrained encoder.
        device: ``cpu`` or ``cuda``.
    """

    dataset: DatasetSpec
    mirror: Path | None
    splits: Mapping[str, SplitSummary]
    backbone: Backbone
    device: str

    @classmethod
    def find(
        cls, spec: DatasetSpec, model: str, *, mirror: Path | None, seed: int, wants_gpu: bool
    ) -> "Source":
        """Read the splits and find the model.

        Raises:
            UsageError: If a name is unknown or a file is not what it should be.
            StartError: If the hub is needed and cannot be reached.
        """
        backbone = load_backbone(model)
        splits = describe_splits(spec, mirror=mirror, seed=seed)
        device = device_for(wants_gpu)
        return cls(dataset=spec, mirror=mirror, splits=splits, backbone=backbone, device=device)


def device_for(wants_gpu: bool, has_gpu: bool | None = None) -> str:
    """Where trainings run: on a GPU where one is wanted and there.

    Args:
        wants_gpu: Whether trainings use one where there is one.
        has_gpu: Whether there is one; if not given, whether this machine has.
    """
    there_is = provenance.gpus() > 0 if has_gpu is None else has_gpu
    return "cuda" if wants_gpu and there_is else "cpu"
