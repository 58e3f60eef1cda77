"""A training's saved states: what it goes on from after a lost worker or an ended command.

A state is a safetensors file, ``<step>.safetensors``, and a manifest beside it, ``<step>.json``,
with its sha256, written last; where batches were taken in parts, it names their size. A state that
does not match its manifest is passed over for the one before, and without any the training begins
anew. Nothing is ever unpickled. In an object store stands the same, in the same order, for
whichever machine goes on.
"""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tune_sentiment.durable import fetched, read_json, remove, sha256_of, write_json, writing
from tune_sentiment.objects import StorageError
from tune_sentiment.places import copy_of
from tune_sentiment.train import TrainState

KEPT = 2  # the newest, and the one before in case the newest is torn
POSITION = ("step", "evaluation", "train_seconds", "eval_seconds")


class Checkpoints:
    """The saved states of one training.

    Args:
        folder: The training's own folder; ``None`` saves nothing.
        every_seconds: Least time between two states, and before the first.
    """

    def __init__(self, folder: Path | None, every_seconds: float) -> None:
        self.folder, self.every_seconds = folder, every_seconds
        self.saved_at = time.monotonic()

    def save(self, state: TrainState, objective: float | None) -> None:
        """Save a state if it is time. Where that cannot be done the training goes on.

        Args:
            state: A training between two steps.
            objective: The searched metric's best value so far.
        """
        if self.folder is None or time.monotonic() - self.saved_at < self.every_seconds:
            return
        try:
            self._write(self.folder / f"{state.step:09d}.safetensors", state, objective)
            for old in self._manifests()[KEPT:]:
                _remove(old)
        except (OSError, SafetensorError, StorageError) as error:
            print(f"no checkpoint in {self.folder}: {error}", file=sys.stderr)
        self.saved_at = time.monotonic()

    def _write(self, path: Path, state: TrainState, objective: float | None) -> None:
        facts = json.dumps({**_facts(state), "objective": objective})
        with writing(path) as unfinished:
            save_file(_tensors(state), unfinished, metadata={"facts": facts})
            digest = sha256_of(unfinished)
        manifest: dict[str, Any] = {"file": path.name, "sha256": digest}
        if (micro := state.config.micro_batch_size) is not None:
            manifest["micro_batch_size"] = micro
        write_json(path.with_suffix(".json"), manifest)

    def restore(self, state: TrainState) -> float | None:
        """Put a fresh state where the newest good one stood; returns the objective then.

        Leaves the state as it is when there is none.
        """
        for manifest in self._manifests(again=True):
            path = manifest.with_suffix(".safetensors")
            try:
                if not _is_whole(path, read_json(manifest)["sha256"]):
                    raise ValueError("not what its manifest says")
                with safe_open(path, framework="pt") as file:
                    facts = json.loads(file.metadata()["facts"])
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                _check_fits(state, tensors)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                print(f"checkpoint {path} is passed over: {error}", file=sys.stderr)
                _remove(manifest)  # else it would stand for the newest again
                continue
            _put_back(state, tensors, facts)
            objective: float | None = facts["objective"]
            return objective
        return None

    def micro_batch_size(self) -> int | None:
        """Texts at a time of the training that left the newest state; ``None`` for whole batches.

        Known before a model is built: the one of a whole batch may be what there was no room for.
        """
        for manifest in self._manifests(again=True):
            with suppress(OSError, ValueError, AttributeError):
                found = read_json(manifest).get("micro_batch_size")
                return found if isinstance(found, int) and found >= 1 else None
        return None

    def _manifests(self, *, again: bool = False) -> list[Path]:
        """Newest first; those that another machine has left meanwhile only if asked again."""
        if self.folder is None:
            return []
        if again and (copy := copy_of(self.folder)):
            copy.bring(self.folder, lambda name: name.endswith(".json"))
        return sorted(self.folder.glob("*.json"), reverse=True)


def _is_whole(path: Path, digest: str) -> bool:
    """Whether a state is what its manifest says, here or in the object store."""
    return any(fetched(path, again=again) and sha256_of(path) == digest for again in (False, True))


def _remove(manifest: Path) -> None:
    remove(manifest)
    remove(manifest.with_suffix(".safetensors"))


def _trainable(state: TrainState) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in state.model.named_parameters() if p.requires_grad}


def _tensors(state: TrainState) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {
        f"model.{name}": parameter.detach() for name, parameter in _trainable(state).items()
    }
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    tensors["rng.cpu"] = torch.get_rng_state()
    if state.model.device.type == "cuda":
        tensors["rng.cuda"] = torch.cuda.get_rng_state(state.model.device)
    if state.losses:
        tensors["losses"] = torch.stack(state.losses)
    return {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}


def _facts(state: TrainState) -> dict[str, Any]:
    return {
        **{name: getattr(state, name) for name in POSITION},
        "groups": state.optimizer.state_dict()["param_groups"],
        "schedule": state.schedule.state_dict(),
        "scaler": state.scaler.state_dict(),
    }


def _check_fits(state: TrainState, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse a state of another model, before anything of it is taken."""
    wanted = {f"model.{name}": p.shape for name, p in _trainable(state).items()}
    found = {name: t.shape for name, t in tensors.items() if name.startswith("model.")}
    if found != wanted:
        raise ValueError("it holds other parameters than this training's")


def _put_back(
    state: TrainState, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]
) -> None:
    with torch.no_grad():
        for name, parameter in _trainable(state).items():
            parameter.copy_(tensors[f"model.{name}"])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    groups = [{**group, "betas": tuple(group["betas"])} for group in facts["groups"]]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.schedule.load_state_dict(facts["schedule"])
    state.scaler.load_state_dict(facts["scaler"])
    state.losses = list(tensors["losses"].to(state.model.device)) if "losses" in tensors else []
    for name in POSITION:
        setattr(state, name, facts[name])
    torch.set_rng_state(tensors["rng.cpu"])
    if "rng.cuda" in tensors and state.model.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["rng.cuda"], state.model.device)
