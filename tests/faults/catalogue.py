"""The faults of docs/reliability.md: what each is, and what is promised then.

A test says with ``@pytest.mark.fault(name)`` which of them it tries.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One row of the page.

    Args:
        what: The fault.
        promise: What this project does.
        untried: Why it was not tried on plain Ray Tune, if it was not.
        is_random: Whether its tests harm at random moments, so that more tries say more.
    """

    what: str
    promise: str
    untried: str | None = None
    is_random: bool = False


NO_LEDGER = "it has no ledger that could be cut there"

CATALOGUE = {
    "worker-killed": Fault(
        "a trial's worker is killed with -9",
        "the trial goes on from its last checkpoint, no evaluation is noted twice",
    ),
    "worker-exits": Fault(
        "a trial's process ends itself with code 0, each time",
        "tried twice, recorded as `failed`, told to the sampler as failed; the rest goes on",
    ),
    "worker-crashes": Fault(
        "a trial's process has a segmentation fault, each time",
        "tried twice, recorded as `failed`; the rest goes on",
    ),
    "exception": Fault(
        "a trial raises an exception", "not tried again, recorded as `failed` with its last line"
    ),
    "diverged": Fault(
        "weights become NaN",
        "the trial ends at that evaluation as `diverged`, the sampler learns that it was bad",
    ),
    "out-of-memory": Fault(
        "a trial runs out of memory (MemoryError)", "not tried again, recorded as `oom`"
    ),
    "memory-monitor": Fault(
        "Ray's memory monitor kills a trial",
        "the study goes on, the trial runs once more alone, and is recorded as `oom`",
    ),
    "driver-killed": Fault(
        "the driver is killed with -9; the same command again",
        "every record stays byte for byte, nothing that ended begins again, open trials go on",
        is_random=True,
    ),
    "driver-cut": Fault(
        "the driver ends just before or after the n-th write of a study",
        "the study ends with the numbers and the order of one that never was cut",
        untried=NO_LEDGER,
    ),
    "interrupted": Fault(
        "Ctrl-C (SIGINT); the same command again",
        "exit code 130 and the command to go on with, in under 20 s",
    ),
    "terminated": Fault(
        "SIGTERM, as batch systems and spot machines send it; the same command again",
        "exit code 143 and the command to go on with, in under 20 s",
    ),
    "ray-hangs": Fault(
        "Ray's node process hangs, then Ctrl-C",
        "left behind after at most 20 s, at once after a second Ctrl-C; no process stays",
        untried="measured for our own command only",
    ),
    "disk-full": Fault(
        "the disk is full; after it has room, the same command again",
        "one line, exit code 3; what was written stays whole",
    ),
    "disk-fails": Fault(
        "the n-th write, flush or rename fails, for every n of a study",
        "what was acknowledged can be read, the study goes on when the disk does",
        untried=NO_LEDGER,
    ),
    "state-torn": Fault(
        "the driver is killed, and its newest state is cut in half; the same command again",
        "nothing is read back from Ray's files; they may be deleted",
    ),
    "checkpoint-torn": Fault(
        "a worker is killed, and the newest checkpoint's files are cut in half",
        "the hash of the state tells; the trial goes on from the one before, or from its start",
    ),
    "started-twice": Fault(
        "the same command is started a second time while it runs",
        "refused with exit code 3, naming the process; the first one is not disturbed",
    ),
    "no-resources": Fault(
        "more GPUs are asked for than there are",
        "refused with exit code 3 before Ray starts, in under 30 s",
    ),
    "node-lost": Fault(
        "one of two nodes is lost: its processes all at once",
        "its trials go on elsewhere, each loses one evaluation at most, and none is called failed",
    ),
    "nodes-lost": Fault(
        "three nodes are lost one after another under the same trial",
        "the trial finishes: a node that was lost is not the trial's failure",
    ),
    "head-lost": Fault(
        "driver, Ray's head and all of Ray's files are lost; the same command again",
        "every record stays, nothing that ended begins again",
    ),
    "soak": Fault(
        "500 trials with workers killed at random, the driver killed once, one SIGTERM",
        "500 records, none twice, memory flat, no process left",
        untried="its parts are above",
    ),
}
