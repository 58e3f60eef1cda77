"""What stands beside a study's records: the evaluations of its trials, the hashes of its texts."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.completeness import lost_evaluations
from analysis.folder import short
from analysis.load import LoadedStudy, load_studies
from tune_sentiment.ledger import TRIALS


def load_whole(results: Iterable[Path], gaps: list[str]) -> list[LoadedStudy]:
    """Every study in these folders, with all that stands beside its records read.

    Args:
        results: Where to look.
        gaps: Takes what could not be read.
    """
    studies = load_studies(results, gaps)
    for study in studies:
        known = len(study.gaps)
        _ = evaluations_of(study), text_hashes(study)
        gaps += study.gaps[known:]
    return studies


@cache
def evaluations_of(study: LoadedStudy) -> dict[str, list[dict[str, Any]]]:
    """The evaluations of every trial, by key; a file that cannot be read is a gap."""
    made = {}
    for path in sorted((study.path / TRIALS).glob("*.jsonl")):
        try:
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            made[path.stem] = [row for row in rows[1:] if int(row["evaluation"]) > 0]
        except (OSError, ValueError, TypeError, KeyError) as error:
            study.gaps.append(f"{path} cannot be read: {short(error)}")
    study.gaps.extend(lost_evaluations(study.trials, made, study.path))
    return made


@cache
def text_hashes(study: LoadedStudy) -> dict[str, set[int]]:
    """Hashes of each split's normalised texts; empty where the ledger has none."""
    path = study.path / "texts.parquet"
    if not path.exists():
        return {}
    try:
        table = pd.read_parquet(path, columns=["split", "text_hash"])
    except (OSError, ValueError, KeyError) as error:
        study.gaps.append(f"{path} cannot be read: {short(error)}")
        return {}
    return {str(name): set(part["text_hash"]) for name, part in table.groupby("split")}
