import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from analysis.stats import (
    Correct,
    Estimate,
    difference_interval,
    expected_best,
    holm,
    is_shown,
    mcnemar,
    mean_interval,
    prediction_interval,
    proportion_interval,
    words,
)

SENTENCES = 1066  # as many as Rotten Tomatoes' test split
SIMULATIONS = 2000


def pair(only_a: int, only_b: int, both: int = 900) -> tuple[np.ndarray, np.ndarray]:
    a = np.array([True] * only_a + [False] * only_b + [True] * both)
    b = np.array([False] * only_a + [True] * only_b + [True] * both)
    return a, b


@pytest.mark.parametrize(("only_a", "only_b", "p"), [(60, 40, 0.0569), (62, 38, 0.0210)])
def test_mcnemar_has_the_known_answers(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar(*pair(only_a, only_b)) == pytest.approx(p, abs=5e-5)
    assert mcnemar(*pair(only_b, only_a)) == pytest.approx(p, abs=5e-5)
    assert mcnemar(*pair(0, 0)) == 1.0


def test_holm_has_the_answers_worked_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, then 0.03 x 2 and 0.04 x 1, neither below the one before.
    assert holm([0.02, 0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.06, 0.04, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_interval_of_a_share_is_wilsons() -> None:
    z, n, share = 1.959964, 100, 0.8
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert proportion_interval(80, 100) == pytest.approx((middle - half, middle + half), abs=1e-6)
    found = mean_interval(np.array([[1.0] * 80 + [0.0] * 20]))
    assert (found.value, found.low, found.high) == (share, *proportion_interval(80, 100))


def test_the_next_seed_is_expected_within_the_spread_of_those_before() -> None:
    # mean 2, sd 1, t(2) = 4.3027 at 97.5 %: 4.3027 x sqrt(1 + 1/3) = 4.9683
    assert prediction_interval([1.0, 2.0, 3.0]) == pytest.approx((-2.9683, 6.9683), abs=1e-4)
    assert prediction_interval([1.0]) is None


def test_the_expected_best_grows_from_the_mean_to_the_best() -> None:
    assert expected_best([0.1, 0.4, 0.7], "max") == pytest.approx([0.4, 0.6, 0.7])
    assert expected_best([0.1, 0.4, 0.7], "min") == pytest.approx([0.4, 0.2, 0.1])


def test_two_identical_classifiers_show_no_difference() -> None:
    right = (np.random.default_rng(0).random((3, 200)) < 0.8).astype(float)
    found = difference_interval(right, right)
    assert found.value == 0.0
    assert words(found, holm([found.p])[0], "svm") == "no difference shown"
    same = difference_interval(right[:1], right[:1])
    assert (same.value, same.p) == (0.0, 1.0)


def test_a_difference_needs_both_a_small_p_and_an_interval_without_zero() -> None:
    assert words(Estimate(0.1, 0.05, 0.15, 0.001, 9), 0.001, "svm") == "better than svm"
    assert words(Estimate(-0.1, -0.15, -0.05, 0.001, 9), 0.001, "svm") == "worse than svm"
    assert not is_shown(Estimate(0.1, 0.05, 0.15, 0.02, 9), 0.08)
    assert not is_shown(Estimate(0.1, -0.01, 0.21, 0.04, 9), 0.04)


def test_one_row_on_each_side_is_the_paired_t_test() -> None:
    random = np.random.default_rng(1)
    a, b = ((random.random((1, 300)) < share).astype(float) for share in (0.8, 0.7))
    found = difference_interval(a, b)
    assert found.p == pytest.approx(scipy_stats.ttest_rel(a[0], b[0]).pvalue)
    assert found.df == 299


def test_sentences_that_are_not_the_same_are_not_paired() -> None:
    with pytest.raises(ValueError, match="3 and 4 sentences"):
        difference_interval(np.ones((2, 3)), np.ones((2, 4)))


def simulated(
    random: np.random.Generator, chances: np.ndarray, seeds: int, seed_sd: float
) -> Correct:
    """Answers of a method trained with several seeds, each better or worse than the method."""
    shift = random.normal(0, seed_sd, size=(seeds, 1))
    return (random.random((seeds, len(chances))) < np.clip(chances + shift, 0, 1)).astype(float)


def chances(random: np.random.Generator, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Two methods' chances on the same sentences: hard ones are hard for both."""
    shared = random.beta(4, 1, SENTENCES) * 0.9
    own = random.normal(0, 0.05, size=(2, SENTENCES))
    return shared + own[0] + shift, shared + own[1]


def bootstrap(random: np.random.Generator, a: Correct, b: Correct, draws: int) -> np.ndarray:
    """The difference over resampled seeds and sentences."""
    found = np.empty(draws)
    for i in range(draws):
        items = random.integers(0, a.shape[1], a.shape[1])
        means = [side[random.integers(0, len(side), len(side))][:, items].mean() for side in (a, b)]
        found[i] = means[0] - means[1]
    return found


@pytest.mark.parametrize("seed_sd", [0.006, 0.015])
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_covers_the_true_difference(seeds: int, seed_sd: float) -> None:
    random = np.random.default_rng(20_26)
    true = 0.03
    hits = 0
    for _ in range(SIMULATIONS):
        a, b = chances(random, true)
        found = difference_interval(
            simulated(random, a, seeds, seed_sd), simulated(random, b, seeds, seed_sd)
        )
        hits += found.low <= true <= found.high
    assert hits / SIMULATIONS >= 0.93


def test_methods_that_are_equal_are_seldom_called_different() -> None:
    random = np.random.default_rng(7)
    false = 0
    for _ in range(SIMULATIONS):
        a, b = chances(random, 0.0)
        found = difference_interval(simulated(random, a, 5, 0.006), simulated(random, b, 5, 0.006))
        false += is_shown(found, found.p)
    assert false / SIMULATIONS <= 0.065


def test_a_method_against_a_deterministic_one_is_covered_too() -> None:
    random = np.random.default_rng(11)
    hits = 0
    for _ in range(SIMULATIONS):
        a, b = chances(random, 0.03)
        baseline = simulated(random, b, 1, 0.0)
        found = difference_interval(simulated(random, a, 5, 0.01), baseline)
        hits += found.low <= 0.03 <= found.high
    assert hits / SIMULATIONS >= 0.93


def test_a_bootstrap_over_seeds_and_sentences_agrees() -> None:
    random = np.random.default_rng(3)
    a, b = chances(random, 0.03)
    left, right = simulated(random, a, 10, 0.01), simulated(random, b, 10, 0.01)
    found = difference_interval(left, right)
    drawn = bootstrap(random, left, right, 1000)
    assert np.percentile(drawn, [2.5, 97.5]) == pytest.approx([found.low, found.high], abs=0.008)


def test_one_methods_interval_covers_its_accuracy() -> None:
    random = np.random.default_rng(5)
    mean = 0.9 * 0.8
    hits = 0
    for _ in range(SIMULATIONS):
        a, _ = chances(random, 0.0)
        found = mean_interval(simulated(random, a, 5, 0.01))
        hits += found.low <= mean <= found.high
    assert hits / SIMULATIONS >= 0.93
