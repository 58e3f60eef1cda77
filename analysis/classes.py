"""What a method gets right and wrong, class by class, from its stored predictions."""

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from analysis.load import LoadedStudy


def predictions_on_test(study: LoadedStudy) -> pd.DataFrame:
    """Labels and predictions of every confirmation run of the winner, one below the other."""
    labels, made = study.test_predictions or (np.array([], dtype=int), [])
    runs = [pd.DataFrame({"label": labels, "predicted": predicted}) for predicted in made]
    return pd.concat(runs) if runs else pd.DataFrame({"label": [], "predicted": []}, dtype=int)


def per_class(study: LoadedStudy) -> pd.DataFrame:
    """Precision, recall and F1 of each class on test, in percent; empty without any run."""
    made, names = predictions_on_test(study), list(study.description["classes"])
    if made.empty:
        return pd.DataFrame()
    precision, recall, f1, support = precision_recall_fscore_support(
        made["label"], made["predicted"], labels=range(len(names)), zero_division=0.0
    )
    runs = max(1, len(study.scored))
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
    """How many texts of each true class (rows) were given each class; empty without any run."""
    made, names = predictions_on_test(study), list(study.description["classes"])
    if made.empty:
        return pd.DataFrame()
    counts = confusion_matrix(made["label"], made["predicted"], labels=range(len(names)))
    table = pd.DataFrame(counts, columns=[f"said {name}" for name in names])
    table.insert(0, "true class", names)
    return table
