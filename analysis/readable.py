"""Numbers and names as tables show them."""

from dataclasses import fields

import pandas as pd

from analysis.answers import Spread
from analysis.load import LoadedStudy
from analysis.stats import Estimate
from tune_sentiment.config import StudyConfig
from tune_sentiment.markdown import harmless

NOT_MEASURED = "-"


def is_loss(metric: str) -> bool:
    """Whether a metric stays as it is; the others are shown in points of 100."""
    return metric.endswith("loss")


def points(value: float | None, metric: str = "accuracy") -> str:
    """A score as a table shows it: 0.831 as 83.1, a loss with four digits."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.4f}" if is_loss(metric) else f"{100 * value:.1f}"


def signed(value: float) -> str:
    """A difference of accuracies in points, with its sign."""
    return f"{100 * value:+.1f}"


def interval(estimate: Estimate | None, *, is_difference: bool = False) -> str:
    """``[81.2, 85.0]``, with signs for a difference."""
    if estimate is None:
        return NOT_MEASURED
    show = signed if is_difference else points
    return f"[{show(estimate.low)}, {show(estimate.high)}]"


def spread(found: Spread | None, metric: str, *, is_deterministic: bool) -> str:
    """``83.1 ± 0.4 (n=5)``; says when seeds are missing, and why there is no spread."""
    if found is None:
        return NOT_MEASURED
    middle = points(found.mean, metric)
    if is_deterministic:
        return f"{middle} (deterministic)"
    n = f"n={found.n}" if found.n == found.asked else f"n={found.n} of {found.asked}"
    if found.sd is None:
        return f"{middle} ({n}: 1 seed, no spread)"
    return f"{middle} ± {points(found.sd, metric)} ({n})"


def p_value(p: float) -> str:
    """Three digits, or that it is smaller."""
    return "p below 0.001" if p < 0.001 else f"p = {p:.3f}"


def seconds(value: float | None) -> str:
    """Seconds with the digits that matter."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def megabytes(value: float | None) -> str:
    """Bytes in megabytes."""
    return NOT_MEASURED if value is None else f"{value / 1e6:,.0f}"


def parameters(record: dict[str, object] | None) -> str:
    """Trainable parameters, and their share of all."""
    trainable = None if record is None else record["num_trainable_params"]
    total = None if record is None else record["num_total_params"]
    if not isinstance(trainable, int) or not isinstance(total, int):
        return NOT_MEASURED
    share = 100 * trainable / total
    return f"{trainable:,} ({share:.0f} %)" if share >= 10 else f"{trainable:,} ({share:.2g} %)"


def value(found: object) -> str:
    """A hyperparameter."""
    if found is None:
        return NOT_MEASURED
    return f"{found:.3g}" if isinstance(found, float) else str(found)


def heading(study: LoadedStudy) -> str:
    """What a study's comparison is about, in one line, as people called it.

    What is not as usual is named, too: it makes another comparison.
    """
    about = study.description
    samples = about["comparison_of"].get("train_samples") or about["splits"]["train"]["rows"]
    test = about["splits"]["test"]["rows"]
    counts = f"{samples:,} training texts, {test:,} test texts"
    usual = {field.name: field.default for field in fields(StudyConfig)}
    found = {"max_length": about["comparison_of"].get("max_length"), "metric": about["metric"]}
    found["seed"] = about["seed"]
    others = [
        f"{name} {value}" for name, value in found.items() if value not in (usual[name], None)
    ]
    return " · ".join([about["dataset"], about["model"], counts, *others])


def escaped(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what would break markdown written harmlessly: labels are people's own."""
    made = table.map(lambda found: harmless(str(found)))
    return made.rename(columns={name: harmless(str(name)) for name in made.columns})
