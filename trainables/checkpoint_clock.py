"""How often a trial is saved."""

from __future__ import annotations

import time

CHECKPOINT_SECONDS = 60.0
"""Seconds of work that a trial may lose when its process or node dies."""


class CheckpointClock:
    """Says when a checkpoint is due: ``seconds`` after the last one, or after the start."""

    def __init__(self, seconds: float = CHECKPOINT_SECONDS) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def is_due(self) -> bool:
        """Whether to save the trial now."""
        return time.monotonic() - self._last >= self._seconds

    def restart(self) -> None:
        """The trial has just been saved."""
        self._last = time.monotonic()
