"""The CPUs of this machine, as far as this process may use them."""

from __future__ import annotations


def usable_cpus() -> int:
    """CPUs that the process's affinity mask and its container's quota allow, rounded up.

    `taskset` and Slurm set the mask, and Docker and Kubernetes the quota. `LOKY_MAX_CPU_COUNT` in
    the environment lowers the number further.
    """
    import joblib

    return int(joblib.cpu_count())


def default_threads() -> int:
    """Threads of a process that has the machine for itself: torch's default, within the quota.

    torch takes `OMP_NUM_THREADS`, else a thread for each core in the affinity mask.
    """
    import torch

    return min(torch.get_num_threads(), usable_cpus())
