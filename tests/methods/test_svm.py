from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import load, save
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tune_sentiment.errors import UsageError
from tune_sentiment.features import Features
from tune_sentiment.methods import svm


def test_it_predicts_what_a_scikit_learn_pipeline_predicts(
    made_features: Callable[..., Features],
) -> None:
    train, other = made_features(seed=0), made_features(seed=1)
    mine = svm.fit(svm.SvmHyperparameters(C=0.1, pooling="mean"), train)
    theirs = make_pipeline(StandardScaler(), LinearSVC(C=0.1, dual=False))
    theirs.fit(train.pooled["mean"], train.labels)
    expected = theirs.decision_function(other.pooled["mean"])
    np.testing.assert_allclose(mine.scores(other)[:, 1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(
        mine.scores(other).argmax(1), theirs.predict(other.pooled["mean"])
    )


def test_three_classes_get_three_scores(made_features: Callable[..., Features]) -> None:
    made = made_features()
    labels = np.arange(len(made)) % 3
    three = Features(made.pooled, labels, 0.0, 0)
    found = svm.fit(svm.SvmHyperparameters(C=1.0, pooling="cls"), three)
    assert found.scores(three).shape == (len(made), 3)
    assert found.num_trainable_params == 3 * (8 + 1)


def test_three_classes_are_read_back_as_they_were_trained(
    made_features: Callable[..., Features],
) -> None:
    made = made_features()
    three = Features(made.pooled, np.arange(len(made)) % 3, 0.0, 0)
    found = svm.fit(svm.SvmHyperparameters(C=1.0, pooling="cls"), three)
    for name, array in load(save(found.tensors())).items():
        np.testing.assert_array_equal(array, getattr(found, name), err_msg=name)


def test_a_solver_that_did_not_converge_says_so(
    made_features: Callable[..., Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_features(noise=5.0)
    hyper = svm.SvmHyperparameters(C=100.0, pooling="cls")
    assert svm.fit(hyper, made).has_converged
    monkeypatch.setattr(svm, "MAX_ITERATIONS", 1)
    assert not svm.fit(hyper, made).has_converged


@pytest.mark.parametrize(("name", "value"), [("C", 0.0), ("C", float("nan")), ("pooling", "max")])
def test_a_value_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError):
        svm.SvmHyperparameters(**{"C": 1.0, "pooling": "cls", name: value})  # type: ignore[arg-type]
