"""The least that a training could take: arithmetic over what the machine's best product reaches.

Matrix products of the encoder alone are counted, on real tokens alone; what lies between them
(norms, activations, dropout, the optimizer) counts as avoidable. A backward pass is two more
products of the same size where a weight trains, one where only gradients pass through.
"""

from tune_sentiment.backbone import Backbone
from tune_sentiment.structure import layers_of
from tune_sentiment.tokens import Tokens
from tune_sentiment.trial_setup import TrialSetup, build_model

STAGES = (("q", "k", "v"), ("out",), ("ff_in",), ("ff_out",))  # each reads the one before


def encoding_flops(backbone: Backbone, tokens: Tokens) -> float:
    """Floating-point operations of one forward pass of the encoder over these tokens."""
    model = backbone.classifier(("0", "1"))
    layers = layers_of(model)
    names = [getattr(layer, role) for layer in layers for stage in STAGES for role in stage]
    weights = sum(model.get_submodule(name).weight.numel() for name in names)
    scores = 4 * model.config.hidden_size * len(layers) * float((tokens.lengths**2).sum())
    return 2 * weights * int(tokens.lengths.sum()) + scores


def training_flops(setup: TrialSetup, params: dict[str, object], tokens: Tokens) -> float:
    """Floating-point operations of one epoch over these tokens."""
    model, _ = build_model(setup, params, seed=0)
    count, width = int(tokens.lengths.sum()), model.config.hidden_size
    total = 0.0
    layers = layers_of(setup.backbone.classifier(setup.classes))
    has_gradient = any(p.requires_grad for p in model.base_model.embeddings.parameters())
    for names, roles in ((layer, stage) for layer in layers for stage in STAGES):
        modules = [model.get_submodule(getattr(names, role)) for role in roles]
        weights = [p for module in modules for p in module.parameters() if p.ndim == 2]
        for weight in weights:
            passes = 1 + has_gradient + weight.requires_grad
            total += 2 * weight.numel() * passes * count
        has_gradient = has_gradient or any(weight.requires_grad for weight in weights)
    scores = 4 * width * len(layers) * float((tokens.lengths**2).sum())
    return total + 3 * scores
