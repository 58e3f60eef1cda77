"""Trained classifiers read back from what a run left, and written as a folder others can load."""

import os
import shutil
from pathlib import Path
from typing import Any

from tune_sentiment.classifiers import Classifier, LinearClassifier, NeuralClassifier
from tune_sentiment.durable import fetched, flush_folder, replace_folder, write_json
from tune_sentiment.ledger import WINNER_FILE
from tune_sentiment.methods import METHODS
from tune_sentiment.places import join
from tune_sentiment.proposal import Proposal
from tune_sentiment.trial_setup import TrialSetup, build_model

ENCODER_FOLDER = "encoder"
TRAINED_FILE = "trained.safetensors"


def load_classifier(
    setup: TrialSetup, proposal: Proposal, tensors: Path, features: Any = None
) -> Classifier:
    """The classifier that a run trained.

    Args:
        setup: What the study's trials share.
        proposal: The run.
        tensors: What it left.
        features: For a closed-form method, any of its features: they know their encoder.
    """
    from safetensors.numpy import load_file

    join(setup.storage)
    if not fetched(tensors):
        raise FileNotFoundError(f"{tensors} is gone")
    trained = load_file(tensors)
    if METHODS[setup.method].is_neural:
        model, config = build_model(setup, proposal.params, proposal.seed)
        classifier = NeuralClassifier(model, config.precision)
        classifier.load(trained)
        return classifier
    return LinearClassifier(
        **trained,
        pooling=proposal.params["pooling"],
        has_converged=True,
        num_encoder_params=getattr(features, "num_encoder_params", 0),
    )


def export(setup: TrialSetup, proposal: Proposal, tensors: Path, folder: Path) -> None:
    """Write the run as a folder with model, tokenizer and what it is, replacing an older one.

    The folder loads in plain transformers where it can: what LoRA inserted is merged. Else it holds
    the frozen encoder in ``encoder/``, what trained in ``trained.safetensors``, and no file that
    plain transformers would take for the whole; ``predictor.load_winner`` reads either.
    """
    join(setup.storage)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    method = METHODS[setup.method]
    if method.is_plain:
        classifier = load_classifier(setup, proposal, tensors)
        assert isinstance(classifier, NeuralClassifier)
        if method.merge is not None:
            method.merge(classifier.model)
        classifier.model.save_pretrained(unfinished)
        _save_tokenizer(setup, unfinished)
    else:
        encoder = unfinished / ENCODER_FOLDER
        setup.backbone.classifier(setup.classes).base_model.save_pretrained(encoder)
        _save_tokenizer(setup, encoder)
        fetched(tensors)
        shutil.copyfile(tensors, unfinished / TRAINED_FILE)
        flush_folder(encoder)
    about = {
        "method": setup.method,
        "key": proposal.key,
        "seed": proposal.seed,
        "classes": list(setup.classes),
        "params": dict(proposal.params),
        "plan": dict(setup.plan),
        "max_length": setup.max_length,
    }
    write_json(unfinished / WINNER_FILE, about)
    replace_folder(folder, unfinished, last=WINNER_FILE)


def _save_tokenizer(setup: TrialSetup, folder: Path) -> None:
    """Save the tokenizer so that it truncates where the study did."""
    tokenizer = setup.backbone.tokenizer()
    tokenizer.model_max_length = min(tokenizer.model_max_length, setup.max_length)
    tokenizer.save_pretrained(folder)
