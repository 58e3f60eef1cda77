"""A study's winner as a classifier of new texts, whichever method won."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tune_sentiment import provenance
from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.classifiers import Classifier, NeuralClassifier
from tune_sentiment.durable import read_json
from tune_sentiment.errors import UsageError
from tune_sentiment.features import Features, encoder_of, pooled_states
from tune_sentiment.ledger import WINNER_FILE
from tune_sentiment.methods import METHODS
from tune_sentiment.metrics import Scores, predictions_from
from tune_sentiment.paths import is_folder
from tune_sentiment.places import address_of
from tune_sentiment.proposal import Proposal
from tune_sentiment.tokens import Tokens, tokenise
from tune_sentiment.trial_setup import TrialSetup
from tune_sentiment.winner import ENCODER_FOLDER, TRAINED_FILE, load_classifier

CHUNK_TEXTS = 2_048  # sorted by length together: long enough for little padding, short of memory


@dataclass(frozen=True)
class Predictor:
    """Classifies texts.

    Args:
        classes: Names of the classes, in the order of ``scores``.
        has_probabilities: Whether scores are probabilities, or else decision values.
        backbone: Its tokenizer is the winner's.
        max_length: Longest text in tokens; longer ones are cut off.
        score: From tokens to one score per class, ``[texts, classes]``.
    """

    classes: tuple[str, ...]
    has_probabilities: bool
    backbone: Backbone
    max_length: int
    score: Callable[[Tokens], Scores]

    def scores(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """A probability or decision value of each class, ``[texts, classes]``."""
        made = [np.empty((0, len(self.classes)))]
        for start in range(0, len(texts), CHUNK_TEXTS):
            chunk = texts[start : start + CHUNK_TEXTS]
            labels = np.zeros(len(chunk), dtype=np.int64)  # unknown, and not looked at
            found = self.score(tokenise(self.backbone, chunk, labels, self.max_length))
            made.append(
                predictions_from(found, labels, has_probabilities=self.has_probabilities).scores
            )
        return np.concatenate(made)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """The names of the texts' classes."""
        return [self.classes[index] for index in self.scores(texts).argmax(axis=1)]


def load_winner(folder: Path, num_threads: int | None = None) -> Predictor:
    """The winner in a study's folder, or in its ``winner`` folder, wherever that was copied to.

    Args:
        folder: One of these.
        num_threads: CPU threads, or torch's own choice.

    Raises:
        UsageError: If there is no winner, or if its weights are not safetensors.
    """
    import torch
    from safetensors import SafetensorError

    folder = winner_folder(folder)
    about = _about(folder / WINNER_FILE)
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    method = METHODS[about["method"]]
    device = "cuda" if method.is_neural and provenance.gpus() else "cpu"
    backbone = load_backbone(str(folder if method.is_plain else folder / ENCODER_FOLDER))
    try:
        if method.is_plain:
            classifier = _plain(about, backbone, device)
        else:
            classifier = _own(folder, about, backbone, device)
        encoder = None if method.is_neural else encoder_of(backbone, device)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"the weights in {folder} cannot be read: {error}") from error

    def score(tokens: Tokens) -> Scores:
        if encoder is None:
            return classifier.scores(tokens)
        states = pooled_states(encoder, tokens)
        return classifier.scores(Features(states, tokens.labels, 0.0, encoder.num_parameters()))

    return Predictor(
        classes=tuple(about["classes"]),
        has_probabilities=classifier.has_probabilities,
        backbone=backbone,
        max_length=about["max_length"],
        score=score,
    )


def _about(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = read_json(path)
        wanted = ("method", "classes", "params", "plan", "key", "seed", "max_length")
        if about["method"] in METHODS and all(name in about for name in wanted):
            return about
    except (OSError, ValueError, TypeError, KeyError):
        pass
    raise UsageError(f"{path} does not say what this version of tune_sentiment can read")


def winner_folder(folder: Path) -> Path:
    """The folder of a study's winner.

    Raises:
        UsageError: If there is none, with those that are near.
    """
    for place in (folder, folder / "winner"):
        if (place / WINNER_FILE).exists():
            return place
    if not is_folder(folder):
        raise UsageError(f"{folder} is not a folder; name a study's, such as results/<study>")
    studies = sorted(path.parent.parent.name for path in folder.glob(f"*/winner/{WINNER_FILE}"))
    hint = f"; studies with one in it: {', '.join(studies)}" if studies else ""
    raise UsageError(f"{address_of(folder)} has no winner{hint}")


def _plain(about: dict[str, Any], backbone: Backbone, device: str) -> Classifier:
    model = backbone.trained(about["classes"])
    precision = provenance.resolve_precision("auto", device)
    return NeuralClassifier(model.eval().to(device), precision)


def _own(folder: Path, about: dict[str, Any], backbone: Backbone, device: str) -> Classifier:
    """What plain transformers cannot load: the frozen encoder and, beside it, what trained."""
    plan = about["plan"] and {
        **about["plan"],
        "precision": provenance.resolve_precision("auto", device),
    }
    setup = TrialSetup(
        method=about["method"],
        backbone=backbone,
        classes=tuple(about["classes"]),
        metric="val_accuracy",
        plan=plan,
        device=device,
        num_threads=1,
        max_length=about["max_length"],
    )
    params, key, seed = about["params"], about["key"], about["seed"]
    proposal = Proposal(number=0, key=key, origin="confirm", params=params, seed=seed)
    return load_classifier(setup, proposal, folder / TRAINED_FILE)
