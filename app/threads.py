"""The thread counts of native libraries, set before any of them is loaded.

With its default, BLAS competes with torch for the same cores: a question that takes 17 ms took
53 ms.
"""

import math
import os
from pathlib import Path


def limit_blas() -> None:
    """Limit NumPy's BLAS to one thread: its products are small. It reads the limit when loaded."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def limit_threads(count: int = 0) -> int:
    """Set the thread counts of libraries that are loaded later: OpenMP (torch), MKL, tokenizers.

    Environment variables that the user has set are not changed.

    Parameters
    ----------
    count
        Number of threads; 0 uses the cores that this process may use.

    Returns
    -------
    int
        The number of threads, for OpenVINO, which takes it as an argument.
    """
    count = count or usable_cores()
    os.environ.setdefault("OMP_NUM_THREADS", str(count))
    os.environ.setdefault("MKL_NUM_THREADS", str(count))
    os.environ.setdefault("RAYON_NUM_THREADS", str(count))
    # Threads that spin while they wait take the cores from the engine: p95 of 100 ms, not 30.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return count


def usable_cores() -> int:
    """Count the cores that this process may use, within the quota of its container."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Read the limit of the control group, in cores; None without a limit.

    A container sees its own group at the root of the file system. Version 2 has the quota and its
    period in one file, version 1 in two; both are in microseconds.
    """
    for parts in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join((root / part).read_text() for part in parts).split()
            quota, period = (float(word) for word in words)
        except (OSError, ValueError):  # no such file, or 'max'
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
