from tests.methods.test_contract import setup_for, start_of
from tune_sentiment.backbone import Backbone
from tune_sentiment.structure import head_names
from tune_sentiment.trial_setup import build_model


def test_outside_the_head_only_biases_train(backbone: Backbone) -> None:
    model, _ = build_model(setup_for("bitfit", backbone), start_of("bitfit"), seed=3)
    heads = tuple(f"{name}." for name in head_names(model))
    names = [n for n, p in model.named_parameters() if not n.startswith(heads)]
    trained = {n for n, p in model.named_parameters() if p.requires_grad} & set(names)
    assert len(trained) >= 2 * 8 + 1  # six maps and two norms of each layer, the embeddings' norm
    assert trained == {name for name in names if name.endswith(".bias")}
