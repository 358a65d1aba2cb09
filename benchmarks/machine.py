"""What the benchmarks say of the machine, and what a process takes of it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version

_PEAK = """
import atexit, sys
from pathlib import Path
def peak():
    status = Path("/proc/self/status").read_text().splitlines()
    sys.stderr.write(next(line for line in status if "VmHWM" in line))
atexit.register(peak)
"""
"""The kernel's own count: `getrusage` has the largest of all child processes, not of the last."""
MIXCO = "from study.commands.main import main; main()"
"""Code that runs the command `mixco` with the arguments of its process."""


@dataclass(frozen=True)
class Spent:
    """What a process took, imports included."""

    seconds: float
    cpu_seconds: float
    peak_mib: float

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s ({self.cpu_seconds:.1f} s of CPU), peak {self.peak_mib:.0f} MiB"
        )


def spent_by(code: str, *arguments: str) -> Spent:
    """What Python ``code`` takes in a process of its own."""
    cpu, start = _cpu_of_children(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + code, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - start
    return Spent(seconds, _cpu_of_children() - cpu, int(done.stderr.split()[-2]) / 1024)


def conditions(*packages: str) -> str:
    """Versions and machine, in words."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{versions}, Python {platform.python_version()}; {os.cpu_count()} x {platform.machine()}"
    )


def _cpu_of_children() -> float:
    """CPU seconds of the processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
