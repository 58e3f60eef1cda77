"""The memory of one trial in a process that runs many, one after the other."""

import gc
from functools import cache
from pathlib import Path

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
