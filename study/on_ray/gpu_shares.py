"""The share of a GPU that a trial gets, from the memory that similar trials took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

MARGIN = 1.3
"""Factor on the peak of allocated memory, which omits fragments and kernels' workspaces."""
CONTEXT = 1 << 30
"""Bytes that each process on a GPU takes before its first tensor."""
MOST = 8
"""The most trials on one GPU: with more, trials only wait for each other."""


def gpu_share(peak: int | None, device: int | None) -> float:
    """The share of a GPU for one trial: 1/k if k such trials fit on it.

    The share is 1 if ``peak`` (bytes that such a trial took) or ``device`` (bytes of the GPU) is
    unknown. It is rounded down to four decimals, which is Ray's precision.
    """
    if not peak or not device:
        return 1.0
    fit = int(device // (peak * MARGIN + CONTEXT))
    return math.floor(1e4 / min(max(fit, 1), MOST)) / 1e4


class GpuShares:
    """The GPU memory that each encoder and width took, from the trials that have ended."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Start from ``rows`` of the table ``trials``."""
        self._peak: dict[tuple[str, int], int] = {}
        self._device: int | None = None
        for row in rows:
            self.note(row)

    def note(self, row: Mapping[str, Any]) -> None:
        """Take in the row of a trial that ended; rows without a GPU's memory change nothing."""
        device, peak = row.get("device_memory"), row.get("peak_memory")
        if not device or not peak:
            return
        key = (row["encoder"], row["width"])
        self._peak[key] = max(self._peak.get(key, 0), int(peak))
        # The next trial may run on any of the cluster's GPUs: assume the smallest seen so far.
        self._device = min(self._device or int(device), int(device))

    def of(self, encoder: str, width: int) -> float:
        """The share for a trial of this encoder and width; 1 until such a trial has ended."""
        return gpu_share(self._peak.get((encoder, width)), self._device)
