"""On a GPU: one training beside transformers' Trainer, trials that share the GPU, a whole study.

Where torch finds no GPU, its table says so and nothing else. The encoders are MiniLM and one of
DistilBERT's true size with random weights, which train as fast as pretrained ones. Both sides of a
training compute in bf16; the least time is that of its matrix products at the speed of a large one
in bf16, so ``limit_fraction`` is the model's FLOPs utilisation (MFU) with what the GPU really
reaches in place of its data sheet.
"""

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.corpus import MODEL, Corpus, corpus
from benchmarks.harness import OURS, Rounds, Row, measure, missing
from benchmarks.processes import run_side
from benchmarks.step_rate import PARAMS, ROUNDS, Training, beside_trainer, setup_for
from benchmarks.study_end_to_end import PEERS, QUICK, STUDY, beside
from tune_sentiment.backbone import load_backbone
from tune_sentiment.provenance import cores
from tune_sentiment.tokens import tokenise

SENTENCES = 4096
BATCH_SIZES = (16, 128)
AT_ONCE: Sequence[int] = (1, 2, 4, 8)  # trials that share the GPU
SHARED = {**STUDY, "trials": 16, "max_epochs": 1, "train_samples": SENTENCES}
TRUE_SIZE = "DistilBERT's size"
PRODUCT, PRODUCTS = 8192, 10
ALONE = "one trial at a time"


def run(quick: bool, say: Callable[[str], None]) -> list[Row]:
    """Rows of all three, or one that says that there is no GPU."""
    if not torch.cuda.is_available():
        return [missing("all of it", "", "no GPU was found")]
    if torch.cuda.device_count() > 1:  # the Trainer would spread a batch over all of them
        return [missing("all of it", "", "several GPUs: CUDA_VISIBLE_DEVICES=0 leaves one")]
    data, speed = corpus("rotten_tomatoes", SENTENCES), bf16_gflops("cuda", PRODUCT)
    rows: list[Row] = [circumstances(speed)]
    with tempfile.TemporaryDirectory() as folder:
        both = {MODEL: data, TRUE_SIZE: with_true_size(data, Path(folder) / "encoder")}
        work = [each for name in both for each in trainings("cuda", name, both[name])]
        for what, ours in work[:1] if quick else work:
            more, times = on_device("cuda"), 1 if quick else ROUNDS
            beside_trainer(what, ours, Path(folder), 1, speed, say, **more)  # to warm up
            rows += beside_trainer(what, ours, Path(folder), times, speed, say, **more)
    gc.collect()
    torch.cuda.empty_cache()  # what this process holds counts as others' in the studies
    shared, counts, study, rounds = SHARED, AT_ONCE, STUDY, 2
    if quick:
        shared, counts, study, rounds = QUICK, AT_ONCE[:2], QUICK, 1
    there = {"device": "cuda"}
    rows += sharing({**shared, **there}, counts, rounds, say)
    return [*rows, *beside({**study, **there}, PEERS, rounds, say)]


def circumstances(gflops: float) -> Row:
    """Which GPU it was; the table's last line is of the CPU beside it."""
    value = (
        f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, "
        f"bf16 matrix product {gflops / 1000:.0f} TFLOP/s"
    )
    return {"what": "measured on", "peer": "", "value": value, "is_met": None}


def trainings(device: str, name: str, data: Corpus) -> Iterator[tuple[str, Training]]:
    """One epoch of LoRA and of full fine-tuning with a small and a large batch."""
    for method, size in product(("lora", "full"), BATCH_SIZES):
        setup = setup_for(method, data, device=device, precision="bf16")
        params = {**PARAMS[method], "batch_size": size}
        yield f"{method}, {Path(name).name}, batch size {size}", Training(setup, params, data)


def on_device(device: str) -> dict[str, Any]:
    """The Trainer's arguments for the same device and precision."""
    return {"use_cpu": device == "cpu", "bf16": True}


def with_true_size(data: Corpus, folder: Path) -> Corpus:
    """The same texts for an encoder of DistilBERT's size, which has MiniLM's vocabulary."""
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    DistilBertModel(DistilBertConfig()).save_pretrained(folder)
    data.backbone.tokenizer().save_pretrained(folder)
    backbone = load_backbone(str(folder))
    made = [
        tokenise(backbone, split.texts, split.labels, backbone.tokenizer().model_max_length)
        for split in (data.train, data.validation)
    ]
    return replace(data, backbone=backbone, train_tokens=made[0], validation_tokens=made[1])


def bf16_gflops(device: str, size: int) -> float:
    """What a large bf16 matrix product reaches here and now, the best of a few."""
    a, b = (torch.rand(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(PRODUCTS):
        _wait(device)
        started = time.perf_counter()
        torch.mm(a, b)
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds) / 1e9


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def sharing(
    asked: dict[str, Any], counts: Sequence[int], rounds: int, say: Callable[[str], None]
) -> list[Row]:
    """A study with so many of its trials on the GPU at once, the first number being 1."""

    def side(count: int) -> float:
        more = {"words": ["--gpus-per-trial", str(1 / count)], "started": time.time()}
        return run_side("benchmarks.study_ours", {**asked, **more})[0]

    names = {count: f"{count} at once" for count in counts}
    what = f"{asked['trials']} {asked['what']}, {asked['train_samples']} sentences"
    say(what)
    able = [count for count in counts if count <= cores()]  # each trial takes a core at least
    sides = {OURS if n == 1 else names[n]: partial(side, n) for n in able}
    costs = measure(sides, rounds, say).costs
    rows: list[Row] = []
    for count in able[1:]:
        pair = Rounds({OURS: costs[names[count]], ALONE: costs[OURS]})
        rows += pair.rows(f"{what}, {count} on the GPU at once")
    return rows
