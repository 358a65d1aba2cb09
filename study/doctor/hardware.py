"""Checks of the processor, memory, graphics cards and disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from study.doctor.finding import Finding
from trainables.device.cpus import usable_cpus
from trainables.sizes import shown_size

_GIB = 1 << 30
_SMALL_MEMORY, _SMALL_SHM, _SMALL_DISK = 4 * _GIB, 1 * _GIB, 5 * _GIB
_PROC = Path("/proc")
_DEV = Path("/dev")


def cpus(data_dir: Path) -> Finding:
    """The CPUs that this process may use, and what else they do."""
    says = f"{usable_cpus()} usable, load {os.getloadavg()[0]:.1f}"
    return Finding.note(says, others) if (others := other_load()) else Finding.ok(says)


def other_load() -> str:
    """A line where other programs use more than half of the CPUs; else empty."""
    usable, load = usable_cpus(), os.getloadavg()[0]
    if load <= usable / 2:
        return ""
    return (
        f"other programs use the {usable} CPUs here (load {load:.1f}): trials take longer, "
        "and estimates are less sure"
    )


def bf16(data_dir: Path) -> Finding:
    """Whether the processor multiplies bf16 in hardware."""
    flags = set((_PROC / "cpuinfo").read_text(errors="replace").split())
    if found := sorted(flags & {"avx512_bf16", "amx_bf16"}):
        return Finding.ok(", ".join(found))
    return Finding.note("not in this processor: CPU trials compute in fp32")


def memory(data_dir: Path) -> Finding:
    """What memory is free."""
    now = psutil.virtual_memory()
    says = f"{shown_size(now.available)} of {shown_size(now.total)} free"
    if now.available < _SMALL_MEMORY:
        return Finding.note(
            says, "run fewer trials at once (resources.cpus), or end other programs"
        )
    return Finding.ok(says)


def shared_memory(data_dir: Path) -> Finding:
    """Whether Ray's object store and worker processes have room in /dev/shm."""
    place = _DEV / "shm"
    if not place.is_dir():
        return Finding.note("not on this system")
    free = shutil.disk_usage(place).free
    says = f"{shown_size(free)} free"
    if free < _SMALL_SHM:
        return Finding.note(
            f"{says}: Ray will use slower files in TMPDIR",
            "in a container: docker run --shm-size=4g; in Kubernetes: an emptyDir of medium Memory",
        )
    return Finding.ok(says)


def gpus(data_dir: Path) -> Finding:
    """The graphics cards that torch sees. torch is imported only where there may be one."""
    cards = sorted(_DEV.glob("nvidia[0-9]*"))
    if not cards and not shutil.which("nvidia-smi") and not (_DEV / "kfd").exists():
        return Finding.note("none: trials run on the CPU")
    import torch

    if not torch.cuda.is_available():
        return Finding.note(
            f"{len(cards)} in this machine, and torch {torch.__version__} cannot use them",
            "see what `nvidia-smi` says; the driver may be older than torch's CUDA "
            f"({torch.version.cuda}), or CUDA_VISIBLE_DEVICES may hide them",
        )
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return Finding.ok(", ".join(f"{card.name} {shown_size(card.total_memory)}" for card in found))


def results_disk(data_dir: Path) -> Finding:
    """Whether results can be written to the current folder, where they go by default."""
    return disk(Path.cwd() / "results", "run elsewhere, or name another folder with --results")


def disk(folder: Path, advice: str) -> Finding:
    """Room in ``folder``, or in the nearest folder above it that exists, and whether it is ours."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding.broken(f"{folder}: cannot be written", advice)
    free = shutil.disk_usage(place).free
    says = f"{folder}: {shown_size(free)} free"
    return Finding.note(says, advice) if free < _SMALL_DISK else Finding.ok(says)
