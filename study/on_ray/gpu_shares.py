"""Which share of a GPU a trial is given, from the memory that trials like it took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

MARGIN = 1.3
"""Room for what the peak of allocated memory leaves out: fragments, workspaces of kernels."""
CONTEXT = 1 << 30
"""Bytes that each process on a GPU takes before its first tensor."""
MOST = 8
"""Trials on one GPU: more only take turns."""


def gpu_share(peak: int | None, device: int | None) -> float:
    """The share of a GPU of ``device`` bytes for a trial that took ``peak``: 1/k for k such trials.

    A whole GPU where either is not known. Rounded down to Ray's four decimals.
    """
    if not peak or not device:
        return 1.0
    fit = int(device // (peak * MARGIN + CONTEXT))
    return math.floor(1e4 / min(max(fit, 1), MOST)) / 1e4


class GpuShares:
    """What is known of each encoder and width, from recorded trials and those that end now."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """``rows``: of the table ``trials``."""
        self._peak: dict[tuple[str, int], int] = {}
        self._device: int | None = None
        for row in rows:
            self.note(row)

    def note(self, row: Mapping[str, Any]) -> None:
        """Takes in a trial that ended; its memory counts only where a GPU's was measured."""
        device, peak = row.get("device_memory"), row.get("peak_memory")
        if not device or not peak:
            return
        key = (row["encoder"], row["width"])
        self._peak[key] = max(self._peak.get(key, 0), int(peak))
        # Which card the next trial meets is not known: the smallest seen is safe.
        self._device = min(self._device or int(device), int(device))

    def of(self, encoder: str, width: int) -> float:
        """The share for a trial of that encoder: a whole GPU until one of its width has ended."""
        return gpu_share(self._peak.get((encoder, width)), self._device)
