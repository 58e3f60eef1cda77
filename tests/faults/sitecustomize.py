"""Harms a search from outside, in its own processes: Python runs this where PYTHONPATH names it.

``FAULTS`` is JSON: a trial's number, or ``*`` for each, and what happens to it. ``FAULT_FOLDER``
takes ``outside.log``, whom processes have called outside this machine; ``starts.log``, the key and
the first step of each training that begins; and marks of what has happened, so that a fault happens
``FAULT_TIMES`` times in all.
"""

import ctypes
import importlib.machinery
import importlib.util
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path

FAULTS = json.loads(os.environ.get("FAULTS", "{}"))
TIMES = int(os.environ.get("FAULT_TIMES", "99"))
AT_STEP = int(os.environ.get("FAULT_STEP", "8"))
FOLDER = Path(os.environ.get("FAULT_FOLDER", "."))


def is_left(name):
    """Whether a fault has happened less than FAULT_TIMES; counts this time."""
    for number in range(TIMES):
        try:
            os.close(os.open(FOLDER / f"{name}-{number}.mark", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return True
    return False


def fail_to_allocate():
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 20, hard))
    try:
        bytearray(1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def hog():
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * 100_000_000))
        time.sleep(0.05)


def raise_an_error():
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


HARM = {
    "exit": lambda: os._exit(0),
    "segfault": lambda: ctypes.string_at(0),
    "memory error": fail_to_allocate,
    "hog": hog,
    "raise": raise_an_error,
}


def harm_training(module):
    take_step = module.TrainState.take_step

    def harmed(state, train, items):
        number = os.environ.get("FAULT_NUMBER", "")
        kind = FAULTS.get(number) or FAULTS.get("*")
        if number and os.environ.pop("FAULT_BEGUN", None):
            with (FOLDER / "starts.log").open("a") as file:
                file.write(f"{os.environ['FAULT_KEY']} {state.step}\n")
        if number and kind == "slow":
            time.sleep(0.1)
        elif number and kind == "nan" and state.step == AT_STEP:
            next(state.model.parameters()).data.fill_(float("nan"))
        elif number and kind in HARM and state.step >= AT_STEP and is_left(f"{kind}-{number}"):
            HARM[kind]()
        return take_step(state, train, items)

    module.TrainState.take_step = harmed


def follow_trials(module):
    reports = module.reports

    def followed(setup, proposal, *rest):
        os.environ["FAULT_NUMBER"] = str(proposal.number)
        os.environ["FAULT_KEY"] = proposal.key
        os.environ["FAULT_BEGUN"] = "1"
        (FOLDER / "offline").write_text(os.environ.get("HF_HUB_OFFLINE", ""))
        return reports(setup, proposal, *rest)

    module.reports = followed


CHANGES = {
    "tune_sentiment.train": harm_training,
    "tune_sentiment.trainable": follow_trials,
}


class Changing(importlib.machinery.SourceFileLoader):
    """Loads a module as it is, then changes it."""

    def exec_module(self, module):
        super().exec_module(module)
        CHANGES[module.__name__](module)


class Finder:
    """Finds the modules that are changed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.origin:
            spec.loader = Changing(name, spec.origin)
        return spec


def note_who_is_called():
    """Write down every address outside this machine that a process connects to."""
    connect = socket.socket.connect

    def noted(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if not host.startswith("127.") and host not in ("localhost", "::1", ""):
                with (FOLDER / "outside.log").open("a") as file:
                    file.write(f"{host}:{address[1]} {sys.argv[:3]}\n")
        return connect(self, address)

    socket.socket.connect = noted


if "FAULTS" in os.environ:
    (FOLDER / "outside.log").touch()
    note_who_is_called()
    sys.meta_path.insert(0, Finder)
