"""What works on this machine, and what to do about the rest: one function for each thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from study.doctor import data, hardware, software
from study.doctor.finding import Finding
from trainables.errors import cause

Check = Callable[[Path], Finding]
"""Looks at one thing; its argument is the folder of data sets."""

CHECKS: dict[str, Check] = {
    "Python": software.python,
    "packages": software.packages,
    "compiler": software.compiler,
    "Ray": software.ray,
    "CPUs": hardware.cpus,
    "bf16": hardware.bf16,
    "memory": hardware.memory,
    "/dev/shm": hardware.shared_memory,
    "GPU": hardware.gpus,
    "results": hardware.results_disk,
    "data folder": data.folder,
    "data sets": data.found,
}


def examine(data_dir: Path) -> Iterator[tuple[str, Finding]]:
    """Each thing by name with what was found; a check that fails is a finding, too."""
    for name, check in CHECKS.items():
        try:
            yield name, check(data_dir)
        except Exception as error:  # an odd machine is what this command is for
            said = f"could not be looked at: {type(error).__name__}: {cause(error)}"
            yield name, Finding.note(said)
