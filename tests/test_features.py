from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import BAD, GOOD
from tune_sentiment import features as module
from tune_sentiment.backbone import Backbone
from tune_sentiment.features import cached_features, frozen_features
from tune_sentiment.tokens import tokenise


def test_features_are_the_encoders_states_of_each_text_alone(backbone: Backbone) -> None:
    labels = np.arange(8) % 2
    tokens = tokenise(backbone, GOOD + BAD, labels, 32)
    made = frozen_features(backbone, tokens, "cpu")
    encoder = backbone.classifier(["a", "b"]).base_model.eval()
    tokenizer = backbone.tokenizer()
    for item, text in enumerate(GOOD + BAD):
        with torch.inference_mode():
            states = encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(made.pooled["cls"][item], states[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(made.pooled["mean"][item], states.mean(0).numpy(), atol=1e-5)
    assert made.num_encoder_params == encoder.num_parameters()


def test_the_second_study_reads_the_first_ones_features(
    tiny: Backbone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNE_SENTIMENT_CACHE", str(tmp_path))
    tokens = tokenise(tiny, GOOD, np.array([1, 0, 1, 0]), 32)
    first = frozen_features(tiny, tokens, "cpu")

    def computed_again(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "_compute", computed_again)
    for second in (frozen_features(tiny, tokens, "cpu"), cached_features(tiny, tokens)):
        assert second is not None
        for name in module.POOLINGS:
            np.testing.assert_array_equal(first.pooled[name], second.pooled[name])
        assert second.seconds == first.seconds
        assert second.num_encoder_params == first.num_encoder_params
    assert cached_features(tiny, tokenise(tiny, BAD, np.array([1, 0, 1, 0]), 32)) is None
    with pytest.raises(AssertionError, match="computed again"):
        frozen_features(tiny, tokenise(tiny, BAD, np.array([1, 0, 1, 0]), 32), "cpu")
