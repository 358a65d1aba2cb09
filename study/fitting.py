"""Which trials of a study cannot fit on the machines that are offered. No Ray, no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from study.resources import Allotment
from study.spec import StudySpec
from trainables.config import NO_WIDTH

_SHOWN_WIDTHS = 8
_ROUNDING = 1e-6
"""Ray counts resources in steps of 1e-4; sums of shares such as 0.3333 may be off by less."""


class Node(NamedTuple):
    """What one machine offers to trials."""

    cpus: float
    gpus: float

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Node:
        """From Ray's resources of a node: ``{"CPU": ..., "GPU": ...}``; a missing name is 0."""
        return cls(float(resources.get("CPU", 0.0)), float(resources.get("GPU", 0.0)))

    def share(self, wanted: Allotment) -> float:
        """How many workers of ``wanted`` this machine has room for, as a fraction."""
        shares = [
            offered / asked
            for offered, asked in ((self.cpus, wanted.cpus), (self.gpus, wanted.gpus))
            if asked > 0
        ]
        return min(shares) + _ROUNDING


class Misfit(NamedTuple):
    """Trials of some widths that can never start on the machines offered."""

    widths: tuple[int, ...]
    wanted: Allotment
    """What each of these trials wants."""
    largest: Node
    """The machine with the most room for one of their workers."""
    room: int
    """How many of their workers all machines together have room for."""

    def __str__(self) -> str:
        """One line: what a trial wants, and what the largest node has."""
        shown = ", ".join(map(str, self.widths[:_SHOWN_WIDTHS]))
        more = len(self.widths) - _SHOWN_WIDTHS
        shown += f" and {more} more" if more > 0 else ""
        width = "width" if len(self.widths) == 1 else "widths"
        if self.widths == (NO_WIDTH,):
            width, shown = "encoders", "of one size"
        workers, cpus, gpus = self.wanted
        wants, has = _count(cpus, "CPU"), _count(self.largest.cpus, "CPU")
        if gpus:
            wants += f" and {_count(gpus, 'GPU')}"
            has += f" and {_count(self.largest.gpus, 'GPU')}"
        if workers > 1:
            wants = f"{workers} workers with {wants} each"
        line = f"{width} {shown}: a trial wants {wants}; the largest node has {has}"
        if self.room:
            line += f", and all nodes together have room for {_count(self.room, 'such worker')}"
        return line


def misfits(
    spec: StudySpec, nodes: Sequence[Node], widths_left: Iterable[int] | None = None
) -> list[Misfit]:
    """The trials of ``spec`` that none of ``nodes`` can run, grouped by what they want.

    A worker must fit on one node; the workers of a trial may be spread over several. With
    ``gpus: auto`` a width's first trial wants a whole GPU.

    Args:
        spec: the study.
        nodes: the machines.
        widths_left: the widths whose trials are still to run; None: all.
    """
    widths: dict[Allotment, list[int]] = {}
    for width in spec.all_widths if widths_left is None else sorted(widths_left):
        widths.setdefault(spec.resources.of(width), []).append(width)
    found = []
    for wanted, of_widths in widths.items():
        room = sum(int(node.share(wanted)) for node in nodes)
        if room < wanted.workers:
            largest = max(nodes, key=lambda node: node.share(wanted), default=Node(0.0, 0.0))
            found.append(Misfit(tuple(of_widths), wanted, largest, room))
    return found


def this_machine(spec: StudySpec) -> Node:
    """What this machine offers: the CPUs that this process may use, and the GPUs that it sees.

    GPUs are looked for only if ``spec`` wants some, since that takes seconds (torch).
    """
    import joblib

    gpus = 0
    if any(spec.resources.of(width).gpus for width in spec.all_widths):
        import torch

        gpus = torch.cuda.device_count()
    return Node(float(joblib.cpu_count()), float(gpus))


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" + ("" if number == 1 else "s")
