"""What the libraries behind this one read from the environment, set before they are imported."""

import os
from collections.abc import Mapping

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anyone unless the user says so
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # its downloads go past patience.limited, without any limit
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # Progress shows what happens
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # no snapshots of all trials: nothing reads them
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a stopped trial may be busy; Tune would lose its slot
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would return as if the study had ended
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TOKENIZERS_PARALLELISM": "false",
    # Of the workers: glibc would give every activation's memory back to the system and ask again.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
}

# Of a Ray that this command starts itself. The second is Ray's own switch between a laptop and a
# cluster's node; without it each of Ray's processes listens on every network of this machine.
OWN_RAY = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def set_environment() -> None:
    """Set what the user has not set."""
    _set(ENVIRONMENT)


def stay_on_this_machine() -> None:
    """Have a Ray of our own listen to this machine and this user only; before Ray is imported."""
    _set(OWN_RAY)


def _set(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        os.environ.setdefault(name, value)
