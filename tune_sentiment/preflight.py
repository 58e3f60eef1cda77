"""Whether studies can run here, found out before Ray starts.

Data, model and hub were checked when the studies were resolved; what is left is the machine.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

from tune_sentiment.config import Resources
from tune_sentiment.errors import StartError
from tune_sentiment.provenance import cores, gpus
from tune_sentiment.selection import confirmation_runs
from tune_sentiment.slots import Machine, Slots, plan_slots
from tune_sentiment.study import Study

BYTES_PER_PARAM = 4
STATE_COPIES = 3  # a checkpoint holds a parameter and AdamW's two moments
SPARE_BYTES = 200 << 20  # for the ledger and Ray's own files


def check(studies: Sequence[Study], resources: Resources, results: Path) -> None:
    """Refuse to start what cannot end.

    Raises:
        StartError: If this machine has not what a trial asks for, or if the results folder cannot
            be written or is too full.
    """
    for study in studies:
        if not resources.is_cluster:
            local_slots(study, resources, 1)
    needed = SPARE_BYTES + together_bytes(studies, resources)
    try:
        results.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=results) as file:
            file.write(b"\0")
            file.flush()
        free = shutil.disk_usage(results).free
    except OSError as error:
        raise StartError(f"cannot write in {results}: {error.strerror}") from error
    if free < needed:
        raise StartError(
            f"{results} has {free / 1e9:.1f} GB free; checkpoints and winner can take "
            f"{needed / 1e9:.1f} GB. Give another folder with --results"
        )


def together_bytes(studies: Sequence[Study], resources: Resources) -> int:
    """The most that studies take at a time: they share the slots, so checkpoints count once."""
    states = [checkpoint_bytes(study, _at_once(study, resources)) for study in studies]
    return max(states, default=0) + sum(run_bytes(study) + winner_bytes(study) for study in studies)


def _at_once(study: Study, resources: Resources) -> int:
    """Trainings at a time, as far as that is known before Ray runs: it alone knows a cluster."""
    if resources.is_cluster:
        return resources.concurrency or 1
    return local_slots(study, resources, study.side_by_side).concurrency


def checkpoint_bytes(study: Study, running: int) -> int:
    """The most that states of so many trainings under way take."""
    from tune_sentiment.checkpoint import KEPT

    return running * (KEPT + 1) * STATE_COPIES * BYTES_PER_PARAM * study.num_trainable_params


def run_bytes(study: Study) -> int:
    """What confirmation runs trained, kept until the winner is exported."""
    return confirmation_runs(study) * BYTES_PER_PARAM * study.num_trainable_params


def winner_bytes(study: Study) -> int:
    """What ``winner/`` takes."""
    return study.source.backbone.weights_bytes


def local_slots(study: Study, resources: Resources, trainings: int, per_gpu: int = 1) -> Slots:
    """What a training would get on this machine, without a running Ray.

    Where nothing says how many have room on a GPU, each gets one.

    Raises:
        StartError: If more is asked for than there is.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    here = Machine(cores=cores(), cards=gpus(), memory=memory)
    return slots_on(here, study, resources, trainings, per_gpu)


def slots_on(
    there: Machine, study: Study, resources: Resources, trainings: int, per_gpu: int = 1
) -> Slots:
    """What each of a study's trainings gets, where ``per_gpu`` have room on a GPU.

    On features each gets one core, if nothing else was asked for: more threads than that wait for
    each other there.

    Raises:
        StartError: If more is asked for than there is.
    """
    weights = study.source.backbone.weights_bytes if study.method.is_neural else 0
    if study.method.reads_features:
        resources = replace(resources, cpus_per_trial=resources.cpus_per_trial or 1)
    return plan_slots(resources, there, study.device, max(1, trainings), weights, per_gpu)
