"""How many threads the native libraries may use: decided here, before any of them is loaded.

BLAS at its default beside torch spins on the same cores: a question that takes 17 ms took 53 ms.
"""

import math
import os
from pathlib import Path


def limit_blas() -> None:
    """Keep NumPy's BLAS to one thread: its products are small. It reads this when it is loaded."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def limit_threads(count: int = 0) -> int:
    """Set the thread counts of what is loaded later: OpenMP (torch), MKL, tokenizers.

    Variables that the person set are left alone.

    Parameters
    ----------
    count
        0 takes the cores that we may use.

    Returns
    -------
    The count, for what takes it as an argument: OpenVINO.
    """
    count = count or usable_cores()
    os.environ.setdefault("OMP_NUM_THREADS", str(count))
    os.environ.setdefault("MKL_NUM_THREADS", str(count))
    os.environ.setdefault("RAYON_NUM_THREADS", str(count))
    # Threads that wait for work by spinning take the cores from the engine: p95 of 100 ms to 30.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return count


def usable_cores() -> int:
    """Cores that this process may use: those it may run on, within a container's quota."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    quota = _quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Read the control group's limit, in cores; None where there is none.

    A container sees its own group at the root of the file system: version 2 has the quota and its
    period in one file, version 1 in two, both in microseconds.
    """
    for parts in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join((root / part).read_text() for part in parts).split()
            quota, period = (float(word) for word in words)
        except (OSError, ValueError):  # not there, or 'max'
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
