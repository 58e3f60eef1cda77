"""Our side of the frozen sweep: the product's search of two methods, from start points alone."""

import contextlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from search_spaces import SPACES
from tune_sentiment.command import search
from tune_sentiment.config import Resources, StudyConfig
from tune_sentiment.data import mirror_folder
from tune_sentiment.datasets_table import dataset_named
from tune_sentiment.environment import set_environment
from tune_sentiment.ledger import StudyFolder
from tune_sentiment.source import Source
from tune_sentiment.study import resolve


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Search; returns the validation accuracy of each configuration, in order."""
    set_environment()
    spec = dataset_named(asked["dataset"])
    source = Source.find(
        spec, asked["model"], mirror=mirror_folder(None), seed=asked["seed"], wants_gpu=False
    )
    studies = []
    for method, points in asked["configurations"].items():
        config = StudyConfig(
            method=method,
            dataset=asked["dataset"],
            trials=len(points),
            max_epochs=asked["max_epochs"],
            confirm_seeds=0,
            train_samples=asked["train_samples"],
            seed=asked["seed"],
        )
        studies.append(resolve(config, replace(SPACES[method], start=points), source))
    with tempfile.TemporaryDirectory() as results:
        search(studies, Resources(), Path(results))
        return {
            study.config.method: [
                record["val_accuracy"]
                for record in sorted(
                    StudyFolder(Path(results) / study.id).trials(), key=lambda r: r["number"]
                )
            ]
            for study in studies
        }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = main(json.loads(sys.argv[1]))
    print(json.dumps(found))
