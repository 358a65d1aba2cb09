"""Which trials of a study cannot fit on the machines that are offered. No Ray, no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from reports.statistics.lines_rule import Size
from study.resources import Allotment, size_name
from study.spec import StudySpec
from trainables.config import NO_WIDTH
from trainables.device.cpus import usable_cpus

_SHOWN = 8
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
    """Trials of some encoders that can never start on the machines offered."""

    widths: tuple[int, ...]
    """The widths of these encoders where only widths tell what a trial wants, and else none."""
    encoders: tuple[str, ...]
    """Their names, where ``widths`` do not name them."""
    wanted: Allotment
    """What each of these trials wants."""
    largest: Node
    """The machine with the most room for one of their workers."""
    room: int
    """How many of their workers all machines together have room for."""

    def __str__(self) -> str:
        """One line: what a trial wants, and what the largest node has."""
        kinds = (("width", self.widths), ("encoder", self.encoders))
        shown = " and ".join(_named(kind, names) for kind, names in kinds if names)
        workers, cpus, gpus = self.wanted
        wants, has = _count(cpus, "CPU"), _count(self.largest.cpus, "CPU")
        if gpus:
            wants += f" and {_count(gpus, 'GPU')}"
            has += f" and {_count(self.largest.gpus, 'GPU')}"
        if workers > 1:
            wants = f"{workers} workers with {wants} each"
        line = f"{shown}: a trial wants {wants}; the largest node has {has}"
        if self.room:
            line += f", and all nodes together have room for {_count(self.room, 'such worker')}"
        return line


def misfits(
    spec: StudySpec, nodes: Sequence[Node], sizes_left: Iterable[Size] | None = None
) -> list[Misfit]:
    """The trials of ``spec`` that none of ``nodes`` can run, grouped by what they want.

    A worker must fit on one node; the workers of a trial may be spread over several. With
    ``gpus: auto`` a width's first trial wants a whole GPU.

    Args:
        spec: the study.
        nodes: the machines.
        sizes_left: the encoders, with their widths, whose trials are still to run; None: all.
    """
    sizes: dict[Allotment, list[Size]] = {}
    for size in spec.sizes if sizes_left is None else sorted(sizes_left):
        sizes.setdefault(spec.resources.of(*size), []).append(size)
    found = []
    for wanted, alike in sizes.items():
        room = sum(int(node.share(wanted)) for node in nodes)
        if room < wanted.workers:
            largest = max(nodes, key=lambda node: node.share(wanted), default=Node(0.0, 0.0))
            # Widths tell what a trial wants, unless encoders are named or have none.
            by_width = [s for s in alike if s[1] != NO_WIDTH and not spec.resources.encoders]
            widths = tuple(dict.fromkeys(width for _, width in by_width))
            names = tuple(size_name(*size) for size in alike if size not in by_width)
            found.append(Misfit(widths, names, wanted, largest, room))
    return found


def this_machine(spec: StudySpec) -> Node:
    """What this machine offers: the CPUs that this process may use, and the GPUs that it sees.

    GPUs are looked for only if ``spec`` wants some, since that takes seconds (torch).
    """
    gpus = 0
    if any(spec.resources.of(*size).gpus for size in spec.sizes):
        import torch

        gpus = torch.cuda.device_count()
    return Node(float(usable_cpus()), float(gpus))


def _named(kind: str, names: Sequence[object]) -> str:
    """The first of some names: "widths 8, 16 and 3 more"."""
    shown = ", ".join(map(str, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{kind}{'' if len(names) == 1 else 's'} {shown}{more}"


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" + ("" if number == 1 else "s")
