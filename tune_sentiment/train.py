"""The one training loop, a generator of evaluations over a state that can be saved.

Every neural method is trained here, so a comparison of methods is not one of loops. A caller stops
a training by not asking for the next evaluation.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from tune_sentiment.classifiers import NeuralClassifier, autocast
from tune_sentiment.config import TrialConfig
from tune_sentiment.dropout import cheapen_dropout
from tune_sentiment.evaluation import Evaluation
from tune_sentiment.metrics import evaluate, predictions_from
from tune_sentiment.packing import logits_of, use_own_attention
from tune_sentiment.parameter_groups import parameter_groups
from tune_sentiment.tokens import Inputs, training_batches
from tune_sentiment.vocabulary import narrow, widen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOSS_CHECK_STEPS = 16  # asking a GPU for a number after every step would make it wait
CURVE_POINTS = 20


@dataclass
class TrainState:
    """Everything that a training changes: what is saved and restored.

    Args:
        model: In place of what it was before every step.
        config: The training's instruction.
        num_train: Sentences in the training split.
        optimizer: AdamW over everything that requires gradients.
        schedule: Sets the learning rates, planned for ``config.max_epochs``.
        scaler: Keeps fp16 gradients from vanishing; does nothing in other precisions.
        step: Optimizer steps taken.
        evaluation: Evaluations made.
        train_seconds: Spent in training steps.
        eval_seconds: Spent in evaluations.
        losses: Mean loss of each step since the last evaluation, on the model's device.
        trainable: Every parameter that requires gradients.
        on_step: Called before each step with the share of planned steps that is done.
    """

    model: "PreTrainedModel"
    config: TrialConfig
    num_train: int
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    step: int = 0
    evaluation: int = 0
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    losses: list[torch.Tensor] = field(default_factory=list)
    trainable: list[torch.nn.Parameter] = field(default_factory=list)
    on_step: Callable[[float], None] = lambda share: None

    @classmethod
    def new(
        cls,
        model: "PreTrainedModel",
        config: TrialConfig,
        train: Inputs,
        groups: Callable[..., list[dict[str, Any]]] = parameter_groups,
        on_step: Callable[[float], None] = lambda share: None,
    ) -> "TrainState":
        """The state before the first step on these items.

        Args:
            model: A prepared one.
            config: The training's instruction.
            train: What it is trained on.
            groups: Makes the optimizer's groups of a model and the instruction.
            on_step: Called before each step with the share of planned steps that is done.
        """
        from transformers import get_scheduler

        num_train = len(train)
        narrow(model, train.vocabulary)
        use_own_attention(model)
        cheapen_dropout(model)
        optimizer = torch.optim.AdamW(groups(model, config), fused=True)
        total = steps_per_epoch(num_train, config.batch_size) * config.max_epochs
        schedule = get_scheduler(
            config.schedule,
            optimizer,
            num_warmup_steps=math.ceil(config.warmup_ratio * total),
            num_training_steps=total,
        )
        scaler = torch.amp.GradScaler(model.device.type, enabled=config.precision == "fp16")
        state = cls(model, config, num_train, optimizer, schedule, scaler)
        state.trainable = [p for p in model.parameters() if p.requires_grad]
        state.on_step = on_step
        return state

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps in one epoch."""
        return steps_per_epoch(self.num_train, self.config.batch_size)

    def batches(
        self, lengths: npt.NDArray[np.int64], until: int
    ) -> Iterator[npt.NDArray[np.int64]]:
        """The batches from the present step to step ``until``, across epochs."""
        config, step = self.config, self.step
        while step < until:
            epoch, done = divmod(step, self.epoch_steps)
            order = training_batches(lengths, config.batch_size, config.padding, config.seed, epoch)
            part = order[done : done + until - step]
            yield from part
            step += len(part)

    def take_step(self, train: Inputs, items: npt.NDArray[np.int64]) -> torch.Tensor:
        """One optimizer step on these items; returns their mean loss, still on the device."""
        config, device = self.config, self.model.device
        self.on_step(self.step / (self.epoch_steps * config.max_epochs))
        total = torch.zeros((), device=device)
        micro = config.micro_batch_size or len(items)
        for start in range(0, len(items), micro):
            part = items[start : start + micro]
            labels = torch.from_numpy(train.labels[part]).to(device)
            with autocast(device, config.precision):
                logits = logits_of(self.model, train.batch(part, config.padding))
            loss = cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing)
            loss = loss * (len(part) / len(items))
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.trainable, config.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        self.step += 1
        return total


def steps_per_epoch(num_train: int, batch_size: int) -> int:
    """Batches that it takes to see every sentence once."""
    return math.ceil(num_train / batch_size)


def fit(
    state: TrainState,
    train: Inputs,
    validation: Inputs,
    evaluations: int | None = None,
    save: Callable[[], None] = lambda: None,
) -> Generator[Evaluation, None, None]:
    """Train on, and yield each evaluation as it is made.

    Args:
        state: Changed in place; a fresh one, or one that was restored.
        train: Training items.
        validation: Validation items.
        evaluations: Stop after this many in all; the schedule stays that of all planned ones.
        save: Called between two steps, when the state is one to go on from. After an evaluation
            that is when the caller asks for the next one: it has taken note of this one.
    """
    config = state.config
    last = min(evaluations or config.planned_evaluations, config.planned_evaluations)
    classifier = NeuralClassifier(state.model, config.precision)
    while state.evaluation < last:
        # 1. train up to the next evaluation
        started = time.perf_counter()
        until = (state.evaluation + 1) * state.epoch_steps // config.evaluations_per_epoch
        is_finite = True
        state.model.train()
        for items in state.batches(train.lengths, until):
            state.losses.append(state.take_step(train, items))
            if len(state.losses) % LOSS_CHECK_STEPS == 0 or state.step == until:
                is_finite = bool(torch.stack(state.losses[-LOSS_CHECK_STEPS:]).isfinite().all())
                state.train_seconds += time.perf_counter() - started
                if not is_finite:
                    break
                save()
                started = time.perf_counter()
        curve = torch.stack(state.losses).tolist() if state.losses else []
        state.losses = []
        # 2. evaluate
        started = time.perf_counter()
        narrow_again = widen(state.model)
        scores = classifier.scores(validation) if is_finite else np.full((1, 2), np.nan)
        is_finite = is_finite and bool(np.isfinite(scores).all())
        metrics: dict[str, float | None] = {}
        if is_finite:
            found = predictions_from(scores, validation.labels, has_probabilities=True)
            metrics = evaluate(found, "val")
        state.eval_seconds += time.perf_counter() - started
        # 3. tell
        state.evaluation += 1
        status = (
            "diverged" if not is_finite else "finished" if state.evaluation == last else "running"
        )
        epochs, steps = divmod(state.step, state.epoch_steps)
        yield Evaluation(
            evaluation=state.evaluation,
            status=status,
            epoch=state.step / state.epoch_steps,
            metrics=metrics,
            train_loss=float(np.mean(curve)) if is_finite and curve else None,
            train_loss_curve=_curve(curve) if is_finite else [],
            train_seconds=state.train_seconds,
            eval_seconds=state.eval_seconds,
            samples=epochs * state.num_train + min(steps * config.batch_size, state.num_train),
            steps=state.step,
            classifier=classifier if is_finite else None,
        )
        if status != "running":
            return
        narrow_again()
        save()


def _curve(losses: list[float]) -> list[float]:
    parts = np.array_split(np.asarray(losses), min(CURVE_POINTS, len(losses))) if losses else []
    return [round(float(part.mean()), 6) for part in parts]
