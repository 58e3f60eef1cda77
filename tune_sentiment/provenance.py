"""Where a number comes from: machine, versions, commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from tune_sentiment.errors import UsageError

PACKAGES = ("ray", "optuna", "torch", "transformers", "datasets", "peft", "scikit-learn", "pandas")


@cache
def versions() -> str:
    """Python and the packages that can change a result, as ``name=version`` words."""
    found = [f"python={platform.python_version()}"]
    return " ".join(found + [version_of(name) for name in PACKAGES])


def version_of(name: str) -> str:
    """A package and its version as one word; ``none`` where it is not installed."""
    try:
        return f"{name}={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name}=none"


@cache
def commit() -> str | None:
    """The checkout's commit, ``+`` behind it when files differ; ``None`` outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def now() -> str:
    """The time as the records write it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def host() -> str:
    """The machine's name."""
    return platform.node()


def device_name(device: str) -> str:
    """What a trial ran on, as a person would say it."""
    if device == "cpu":
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name())


def gpus() -> int:
    """GPUs of this machine that torch can use."""
    import torch

    return torch.cuda.device_count()


def resolve_precision(asked: str, device: str) -> str:
    """What ``auto`` means on a device; anything else is taken as asked.

    Raises:
        UsageError: If it depends on a GPU that another machine has.
    """
    if asked != "auto":
        return asked
    if device == "cpu":
        return "fp32"
    import torch

    if not torch.cuda.is_available():
        raise UsageError(
            "--precision auto looks at this machine's GPU, and it has none: name what the "
            "cluster's can, --precision bf16 (Ampere and later) or fp16"
        )
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
