"""What a method gets right and wrong, class by class, from its stored predictions."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from analysis.load import LoadedStudy
from tune_sentiment.ledger import StudyFolder


def predictions_on_test(study: LoadedStudy) -> pd.DataFrame:
    """Labels and predictions of every confirmation run of the winner, one below the other."""
    folder = StudyFolder(study.path)
    files = [folder.predictions_file(run["key"], "test") for run in study.confirmations]
    return _read([file for file in files if file.exists()])


def _read(files: Sequence[Path]) -> pd.DataFrame:
    if not files:
        return pd.DataFrame({"label": [], "predicted": []})
    return pd.concat([pd.read_parquet(file, columns=["label", "predicted"]) for file in files])


def per_class(study: LoadedStudy) -> pd.DataFrame:
    """Precision, recall and F1 of each class on test, in percent, over all confirmation runs."""
    made, names = predictions_on_test(study), list(study.description["classes"])
    precision, recall, f1, support = precision_recall_fscore_support(
        made["label"], made["predicted"], labels=range(len(names)), zero_division=0.0
    )
    runs = len(study.test_scores)
    rows = zip(names, precision, recall, f1, support, strict=True)
    return pd.DataFrame(
        [
            {
                "class": name,
                "precision": f"{100 * p:.1f}",
                "recall": f"{100 * r:.1f}",
                "F1": f"{100 * f:.1f}",
                "test texts": f"{int(s) // runs:,}",
            }
            for name, p, r, f, s in rows
        ]
    )


def confusion(study: LoadedStudy) -> pd.DataFrame:
    """How many texts of each true class (rows) were given each class, over all runs."""
    made, names = predictions_on_test(study), list(study.description["classes"])
    counts = confusion_matrix(made["label"], made["predicted"], labels=range(len(names)))
    table = pd.DataFrame(counts, columns=[f"said {name}" for name in names])
    table.insert(0, "true class", names)
    return table
