"""The memory of one trial in a process that runs many, one after the other."""

import gc
from functools import cache
from pathlib import Path

from tune_sentiment.slots import memory_fraction

# What torch says in a plain RuntimeError: its CPU allocator, late CUDA errors, cuBLAS.
OUT_OF_MEMORY_WORDS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def free_memory(device: str, method: str) -> None:
    """Free what a training left behind.

    Args:
        device: Where it ran.
        method: What it was: each method loads libraries of its own.
    """
    release_memory(device)
    _set_libraries_aside(method)


def release_memory(device: str) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device != "cpu":
        import torch

        torch.cuda.empty_cache()


@cache
def _set_libraries_aside(method: str) -> None:
    """Once, when the first training of a method has ended and all its libraries are loaded.

    The garbage collector would look through them after each training, for 0.2 s.
    """
    gc.freeze()


def limit_memory(device: str, gpus: float) -> None:
    """Let this process take no more of its GPU than its share, so that its neighbours keep theirs.

    Every training sets it: its process may have had another share before.

    Args:
        device: Where the training runs; a CPU has no shares.
        gpus: The training's share of a GPU; from 1 on all of it.
    """
    if device == "cpu":
        return
    import torch

    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(memory_fraction(gpus, total))


def reset_peak_memory(device: str) -> None:
    """Forget earlier peaks, of the process and of the GPU."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats()
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # resets VmHWM to the present resident size (Linux, proc(5))


def peak_memory_bytes(device: str) -> int | None:
    """Peak since the last reset: of the GPU's tensors, or the process' resident size on a CPU.

    ``None`` where the system does not tell.
    """
    if device != "cpu":
        import torch

        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a CPU or a GPU has no memory left."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY_WORDS)
