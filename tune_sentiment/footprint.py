"""What one training takes of a GPU's memory: measured once with the most that its space can ask.

Decides how many trainings may share a GPU and what each may take. Measuring runs in a worker that
has a GPU to itself; what it found is kept in the user's cache under all that decides it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_sentiment.classifiers import SCORING_BATCH_SIZE
from tune_sentiment.config import TrainingHyperparameters
from tune_sentiment.durable import read_json, write_json
from tune_sentiment.proposal import digest
from tune_sentiment.slots import CONTEXT_BYTES, GPU_MARGIN, MOST_PER_GPU
from tune_sentiment.tiny import cache_folder
from tune_sentiment.trial_setup import TrialSetup

if TYPE_CHECKING:
    from tune_sentiment.tokens import Tokens

BARE_CONTEXT_BYTES = 600 << 20  # CUDA's at most before anything runs; more than that is others'
STRAINED_BATCHES = 3  # the first makes the optimizer's state, later ones run beside it
FOOTPRINT_VERSION = 1  # part of the cache key: raise it when another thing is measured
WEIGHTLESS = {f.name for f in fields(TrainingHyperparameters)} - {"batch_size"}  # take no memory


@dataclass(frozen=True)
class Card:
    """A GPU as a process that has just begun to use it sees it.

    Args:
        name: What it calls itself.
        total: Bytes that it has.
        free: Bytes that nobody takes, the looking process' own context not counted as free.
    """

    name: str
    total: int
    free: int

    @property
    def room(self) -> int:
        """Bytes for trainings: what others do not take."""
        return self.free + min(self.total - self.free, BARE_CONTEXT_BYTES)


@dataclass(frozen=True)
class Footprint:
    """What a training takes of a GPU at its largest batch.

    Args:
        reserved: Bytes that torch's allocator held at most; the card's total where that was not
            enough.
        context: Bytes of CUDA's own: context, kernels, libraries' workspaces.
        total: Bytes of the card that it was measured on.
    """

    reserved: int
    context: int
    total: int

    @property
    def is_too_large(self) -> bool:
        """Whether a whole card was not enough for the batch in one piece."""
        return self.reserved >= self.total

    @property
    def needed(self) -> int:
        """Bytes to set aside for a training, the margin included."""
        return round((1 + GPU_MARGIN) * self.reserved) + max(self.context, CONTEXT_BYTES)


def trainings_on(cards: Sequence[Card], footprint: Footprint) -> int:
    """Trainings that share a GPU of which each has room; the smallest room decides."""
    room = min(card.room for card in cards)
    return max(1, min(MOST_PER_GPU, room // footprint.needed))


def cards_here() -> list[Card]:
    """The GPUs that this process sees; runs in a worker."""
    import torch

    found = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Card(torch.cuda.get_device_name(index), total, free))
    return found


def longest(lengths: Any, count: int) -> Any:
    """The items with most tokens: in every padding no batch of so many takes more memory."""
    return np.argsort(lengths, kind="stable")[-count:]


def measure(
    setup: TrialSetup, params: Mapping[str, Any], seed: int, train: "Tokens", validation: "Tokens"
) -> Footprint:
    """What ``strain`` takes of a GPU; runs in a worker that has one to itself."""
    import torch

    from tune_sentiment.memory import is_out_of_memory, limit_memory, reset_peak_memory

    limit_memory(setup.device, 1.0)
    reset_peak_memory(setup.device)
    before, total = torch.cuda.mem_get_info()
    try:
        strain(setup, params, seed, train, validation)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return Footprint(total, CONTEXT_BYTES, total)
    after, _ = torch.cuda.mem_get_info()
    grown = max(0, before - after - torch.cuda.memory_reserved())
    context = grown + min(total - before, BARE_CONTEXT_BYTES)
    return Footprint(torch.cuda.max_memory_reserved(), context, total)


def strain(
    setup: TrialSetup, params: Mapping[str, Any], seed: int, train: "Tokens", validation: "Tokens"
) -> None:
    """Train on the longest texts, and evaluate the longest, by the one training loop.

    Args:
        setup: A neural study's.
        params: The configuration that needs most memory.
        seed: The study's seed.
        train: Training tokens.
        validation: Validation tokens.
    """
    from tune_sentiment.tokens import Part
    from tune_sentiment.train import fit
    from tune_sentiment.trial_setup import build_state

    items = longest(train.lengths, params["batch_size"])
    inputs = Part(train, items)  # one batch is an epoch
    looked_at = Part(validation, longest(validation.lengths, SCORING_BATCH_SIZE))
    short = {"max_epochs": STRAINED_BATCHES, "evaluations_per_epoch": 1}
    setup = replace(setup, plan={**setup.plan, **short})
    state = build_state(setup, params, seed, inputs)
    state.on_step(1.0)  # what begins to train later is measured, too
    state.on_step = lambda share: None
    for _ in fit(state, inputs, looked_at):
        pass


def cache_file(
    setup: TrialSetup,
    params: Mapping[str, Any],
    train: "Tokens",
    validation: "Tokens",
    card: Card,
) -> Path:
    """Where a measurement is kept: named by all that decides what it finds."""
    lengths = train.lengths[longest(train.lengths, params["batch_size"])]
    looked_at = validation.lengths[longest(validation.lengths, SCORING_BATCH_SIZE)]
    decides = {
        "version": FOOTPRINT_VERSION,
        "method": setup.method,
        "params": {name: value for name, value in params.items() if name not in WEIGHTLESS},
        "backbone": setup.backbone.fingerprint,
        "classes": len(setup.classes),
        "padding": setup.plan["padding"],
        "precision": setup.plan["precision"],
        "max_length": train.max_length,
        "lengths": [lengths.tolist(), looked_at.tolist()],
        "words": len(train.vocabulary),
        "card": [card.name, card.total],
        "packages": {name: metadata.version(name) for name in ("torch", "transformers", "peft")},
    }
    return cache_folder() / f"gpu-memory-{digest(decides, 24)}.json"


def kept(path: Path) -> Footprint | None:
    """A measurement as an earlier search left it; ``None`` without a readable one."""
    try:
        found = read_json(path)
        return Footprint(**{name: int(found[name]) for name in ("reserved", "context", "total")})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(path: Path, footprint: Footprint) -> None:
    """Leave a measurement for the next search, if the cache takes it."""
    with suppress(OSError):
        write_json(path, asdict(footprint))
