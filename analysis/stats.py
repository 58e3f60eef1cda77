"""Statistics of comparisons: pure functions of arrays, from scipy where it has them.

A method's accuracy varies with the seed it was trained with and with the sentences it was tested
on. Both are samples, and both are crossed: each seed was tested on each sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln

Correct = npt.NDArray[np.float64]
LEVEL = 0.95
ALPHA = 1 - LEVEL
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means with its interval.

    Args:
        value: The estimate.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: Two-sided p of the t test against zero.
        df: Degrees of freedom; infinite where nothing varies.
    """

    value: float
    low: float
    high: float
    p: float
    df: float


def mean_interval(correct: Correct) -> Estimate:
    """Accuracy of a method over fresh seeds and fresh sentences.

    Args:
        correct: 1 where a sentence was classified rightly, ``[seeds, sentences]``. One row gives
            that classifier's interval over sentences alone, which is a proportion's.
    """
    parts = [_items_part(correct.mean(axis=0))]
    if len(correct) == 1:
        low, high = proportion_interval(int(correct.sum()), correct.size)
        return replace(_estimate(float(correct.mean()), parts, 0.0), low=low, high=high)
    parts.append(_seeds_part(correct))
    return _estimate(float(correct.mean()), parts, _residual(correct))


def difference_interval(a: Correct, b: Correct) -> Estimate:
    """Accuracy of one method minus another's on the same sentences.

    The variances of sentences and of each method's seeds are added and what they share is taken
    off; the degrees of freedom are Satterthwaite's (1946). A side with one row adds no variance of
    seeds: right for a deterministic method; for another the interval is that of this one seed.

    Args:
        a: 1 where the first method was right, ``[seeds, sentences]``.
        b: The same of the second; sentences in the same order.

    Raises:
        ValueError: If the sentences are not as many.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} sentences cannot be paired")
    parts = [_items_part(a.mean(axis=0) - b.mean(axis=0))]
    residual = 0.0
    for side in (a, b):
        if len(side) > 1:
            parts.append(_seeds_part(side))
            residual += _residual(side)
    return _estimate(float(a.mean() - b.mean()), parts, residual)


def _items_part(per_item: Correct) -> tuple[float, int]:
    return float(per_item.var(ddof=1)) / len(per_item), len(per_item) - 1


def _seeds_part(correct: Correct) -> tuple[float, int]:
    return float(correct.mean(axis=1).var(ddof=1)) / len(correct), len(correct) - 1


def _residual(correct: Correct) -> float:
    """Variance of the mean that is neither the seed's nor the sentence's, counted twice so far."""
    seeds, items = correct.shape
    left = correct - correct.mean(axis=0) - correct.mean(axis=1, keepdims=True) + correct.mean()
    return float((left**2).sum()) / ((seeds - 1) * (items - 1)) / (seeds * items)


def _estimate(value: float, parts: Sequence[tuple[float, int]], residual: float) -> Estimate:
    variance = max(sum(part for part, _ in parts) - residual, max(part for part, _ in parts))
    if variance == 0:
        return Estimate(value, value, value, 1.0 if value == 0 else 0.0, math.inf)
    df = variance**2 / sum(part**2 / free for part, free in parts if part)
    error = math.sqrt(variance)
    half = float(stats.t.ppf(1 - ALPHA / 2, df)) * error
    p = float(2 * stats.t.sf(abs(value) / error, df))
    return Estimate(value, value - half, value + half, p, df)


def mcnemar(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Exact p that two classifiers err equally often (McNemar, 1947).

    Args:
        a: Where the first classifier was right, ``[sentences]``.
        b: Where the second was.
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(min(only_a, only_b), only_a + only_b).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm, 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = reached
    return corrected


def proportion_interval(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    found = stats.binomtest(right, of).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def prediction_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Where one more seed's score is expected, 95 %; ``None`` for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    spread = float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / n)
    half = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * spread
    middle = float(np.mean(values))
    return middle - half, middle + half


def expected_best(scores: Sequence[float], mode: str) -> list[float]:
    """Expected best of the first 1, 2, … trials, had they come in any order.

    The unbiased estimate (Tang et al., 2020) of the curve of Dodge et al. (2019, eq. 1).

    Args:
        scores: Validation scores of ``n`` trials.
        mode: ``max`` or ``min``.

    Returns:
        ``n`` values; the last is the best score.
    """
    ordered = np.sort(np.asarray(scores, dtype=float))
    if mode == "min":
        ordered = ordered[::-1]
    n = len(ordered)
    log_factorial = np.asarray(gammaln(np.arange(n + 1) + 1.0))
    expected = []
    for k in range(1, n + 1):  # C(rank, k - 1) / C(n, k): the chance that a rank is the best of k
        ways = log_factorial[k - 1 : n] - log_factorial[k - 1] - log_factorial[: n - k + 1]
        all_ways = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
        expected.append(float((np.exp(ways - all_ways) * ordered[k - 1 :]).sum()))
    return expected


def is_shown(estimate: Estimate, corrected: float) -> bool:
    """Whether a difference may be called one: by its corrected p and by its interval."""
    return corrected < ALPHA and (estimate.low > 0 or estimate.high < 0)


def words(estimate: Estimate, corrected: float, other: str) -> str:
    """What may be said of a difference: ``better than svm``, or that none was shown."""
    if not is_shown(estimate, corrected):
        return NO_DIFFERENCE
    return f"{'better' if estimate.value > 0 else 'worse'} than {other}"


def correct_matrix(labels: Any, predicted: Sequence[Any]) -> Correct:
    """``[seeds, sentences]`` from the labels and each seed's predictions."""
    return np.stack([np.asarray(labels) == np.asarray(run) for run in predicted]).astype(float)
